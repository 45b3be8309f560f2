"""Work on a thread beside the caller's own, one item ahead of it: a stage of a pipeline."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def compute_ahead(items: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[Result]:
    """Yield work(item) for each item, in order, while a thread computes the next one.

    The thread is one item ahead at most, so a slow caller or slow work bounds what is in memory.
    An error of `work` or of `items` is raised after the results of all earlier items; later ones
    are not worked on. A caller that stops early, or is interrupted, waits for the running work.
    """
    pool = ThreadPoolExecutor(1)
    pending: Future[Result] | None = None
    error = None
    try:
        try:
            for item in items:
                following = pool.submit(_work_after, pending, work, item)
                del item  # so that it is freed with its work
                if pending is not None:
                    yield pending.result()
                pending = following
        except Exception as caught:
            error = caught
        if pending is not None:
            yield pending.result()
        if error is not None:
            raise error
    finally:
        pool.shutdown(cancel_futures=True)


def _work_after(
    previous: Future[Result] | None, work: Callable[[Item], Result], item: Item
) -> Result:
    """Return work(item), or raise the error of the previous item, if it had one."""
    if previous is not None:
        previous.result()
    return work(item)
