"""Helper processes end when the process that started them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from vidda.workers import WorkerSpawnContext, start_worker
if __name__ == "__main__":
    context = WorkerSpawnContext()
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=start_worker)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""

LOADER = """
import os, time
from pathlib import Path
import torch
from torch.utils.data import DataLoader, Dataset
from vidda.data import loader
class Numbers(Dataset):
    def __len__(self): return 9
    def __getitem__(self, number): return os.getpid()
if __name__ == "__main__":
    batches = iter(DataLoader(Numbers(), num_workers=1, prefetch_factor=1,
        worker_init_fn=loader._start, multiprocessing_context=loader.worker_context()))
    print(int(next(batches)), flush=True)
    time.sleep(600)
"""

STARTING = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from vidda.workers import WorkerForkServerContext, WorkerSpawnContext
def blocked(): return signal.pthread_sigmask(signal.SIG_BLOCK, ())
if __name__ == "__main__":
    for context in (WorkerSpawnContext(), WorkerForkServerContext()):
        # Without an initializer, as long as a worker has not come to it.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            print(sorted(pool.submit(blocked).result()))
    print(sorted(blocked()))
"""


def test_a_worker_that_starts_leaves_ctrl_c_to_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(STARTING)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    held = str([signal.SIGHUP, signal.SIGINT])
    assert done.stdout.splitlines() == [held, held, "[]"]


@pytest.mark.parametrize(
    "program", [POOL, pytest.param(LOADER, marks=pytest.mark.slow)], ids=["pool", "loader"]
)
def test_a_worker_ends_with_a_killed_parent(program: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)  # it is there
    parent.kill()
    parent.wait()
    for _ in range(600):
        if _gone(worker):
            return
        time.sleep(0.05)
    os.kill(worker, 9)
    pytest.fail("the worker outlived its parent")


def _gone(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # dead, though nobody has collected it
