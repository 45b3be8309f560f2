"""Measure MiniRoCoG's domain gap with one small recognizer, trained on each domain.

    python tools/mini_gap.py WORK [--seeds 0 1 2] [--factors]

For every seed a dataset is rendered into WORK/seed<N>, and for ground and air the same recognizer
is trained on the synthetic and on the real training list for the same number of steps. Printed are
accuracies in per cent: held-out synthetic, real test after synthetic training (source only), real
test after real training (target only). With --factors the source-only recognizer is also tested on
real test sets of 140 clips that have one real factor alone, and all but one.

The network is used by this script only: spatial and temporal convolutions, a channel of frame
differences, and a head that keeps spatial positions.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidda import video
from vidda.mini.clip import FACTORS

FEW = ("syn_train=1", "syn_val=1", "real_train=1", "real_test=20")
SIDE = 64
CROP = 56


class Recognizer(nn.Module):
    """A small 3D CNN from clips (B, 4, T, CROP, CROP) to logits (B, 7)."""

    def __init__(self, width: int = 24, classes: int = 7) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_in = 4
        for factor, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
            channels = width * factor
            layers += [
                nn.Conv3d(channels_in, channels, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False),
                nn.BatchNorm3d(channels),
                nn.ReLU(),
                nn.Conv3d(channels, channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
                nn.BatchNorm3d(channels),
                nn.ReLU(),
            ]
            channels_in = channels
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.LazyLinear(128), nn.ReLU(), nn.Linear(128, classes)
        )

    def forward(self, clip: Tensor) -> Tensor:
        """Return the logits (B, classes) of clips (B, 4, T, CROP, CROP)."""
        features = self.trunk(clip)
        pooled = torch.cat([features.mean(2), features.amax(2)], dim=1)
        return self.head(pooled)


@dataclass(frozen=True)
class Clips:
    """Decoded clips; frames: (N, T, SIDE, SIDE, 3) uint8, labels: (N,)."""

    frames: np.ndarray
    labels: np.ndarray


def load(root: Path, name: str) -> Clips:
    """Decode the clips of one official list; root: the dataset's folder."""
    lines = (root / "annotations" / f"{name}.txt").read_text().split("\n")
    rows = [line.rsplit(" ", 1) for line in lines if line]
    frames = np.stack([video.read(root / path, size=(SIDE, SIDE)) for path, _ in rows])
    return Clips(frames, np.array([int(label) for _, label in rows]))


def prepare(frames: Tensor, rng: np.random.Generator | None) -> Tensor:
    """Return the network's inputs (B, 4, T, CROP, CROP) from frames (B, T, SIDE, SIDE, 3) uint8.

    Each clip is normalized on its own. rng: of the random crop and scale in training; None: the
    center crop.
    """
    x = frames.float().div_(255).permute(0, 4, 1, 2, 3)
    b, c, t = x.shape[:3]
    if rng is None:
        edge = (SIDE - CROP) // 2
        x = x[..., edge : edge + CROP, edge : edge + CROP]
    else:
        zoom = torch.from_numpy(rng.uniform(0.78, 0.98, b)).float()
        shift = torch.from_numpy(rng.uniform(-1.0, 1.0, (b, 2))).float() * (1 - zoom)[:, None] * 0.8
        theta = torch.zeros(b, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = zoom
        theta[:, :, 2] = shift
        grid = F.affine_grid(theta, [b, c * t, CROP, CROP], align_corners=False)
        x = F.grid_sample(x.reshape(b, c * t, SIDE, SIDE), grid, align_corners=False)
        x = x.view(b, c, t, CROP, CROP)
    x = x - x.mean((1, 2, 3, 4), keepdim=True)
    x = x / (x.std((1, 2, 3, 4), keepdim=True) + 1e-3)
    change = torch.diff(x.mean(1, keepdim=True), dim=2, prepend=x.mean(1, keepdim=True)[:, :, :1])
    change = change.abs()
    return torch.cat([x, change / (change.std((1, 2, 3, 4), keepdim=True) + 1e-3)], dim=1)


def train(clips: Clips, steps: int, batch: int, seed: int) -> Recognizer:
    """Train a new recognizer with AdamW and a one-cycle learning rate; return it."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    frames, labels = torch.from_numpy(clips.frames), torch.from_numpy(clips.labels)
    model = Recognizer()
    model(prepare(frames[:2], None))
    model = model.to(memory_format=torch.channels_last_3d)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    order = np.concatenate(
        [rng.permutation(len(labels)) for _ in range(steps * batch // len(labels) + 2)]
    )
    model.train()
    for step in range(steps):
        chosen = torch.from_numpy(order[step * batch : (step + 1) * batch])
        clip = prepare(frames[chosen], rng).to(memory_format=torch.channels_last_3d)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(clip)
        loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.inference_mode()
def accuracy(model: Recognizer, clips: Clips) -> float:
    """Return the top-1 accuracy in percent."""
    right = 0
    for at in range(0, len(clips.labels), 64):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(prepare(torch.from_numpy(clips.frames[at : at + 64]), None))
        right += int((logits.argmax(1).numpy() == clips.labels[at : at + 64]).sum())
    return 100.0 * right / len(clips.labels)


def rendered(work: Path, seed: int, factors: frozenset[str], *more: str) -> Path:
    """Return the folder of a MiniRoCoG with these real factors, rendered unless it exists."""
    tag = (
        "all"
        if factors == FACTORS
        else hashlib.sha256(repr(sorted(factors)).encode()).hexdigest()[:6]
    )
    out = work / f"seed{seed}-{tag}"
    listed = json.dumps(sorted(factors))
    command = [sys.executable, "-m", "vidda.cli", "mini", str(out), f"seed={seed}"]
    subprocess.run(
        [*command, f"real_factors={listed}", "--resume", *more],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out


def measure(work: Path, seed: int, steps: int, batch: int, factors: bool) -> dict[str, float]:
    """Return all accuracies of one seed in percent, by name."""
    root = rendered(work, seed, FACTORS)
    figures: dict[str, float] = {}
    for view in ("ground", "air"):
        start = time.monotonic()
        test = load(root, f"real_{view}_test")
        source = train(load(root, f"syn_{view}_train"), steps, batch, seed)
        target = train(load(root, f"real_{view}_train_tsonly"), steps, batch, seed)
        figures |= {
            f"{view} syn val": accuracy(source, load(root, f"syn_{view}_val")),
            f"{view} source only": accuracy(source, test),
            f"{view} target only": accuracy(target, test),
        }
        if factors:
            choices = {
                "none": frozenset(),
                **{f"only {f}": frozenset([f]) for f in sorted(FACTORS)},
            }
            choices |= {f"without {f}": FACTORS - {f} for f in sorted(FACTORS)}
            for name, chosen in choices.items():
                few = rendered(work, seed, frozenset(chosen), *FEW)
                figures[f"{view} {name}"] = accuracy(source, load(few, f"real_{view}_test"))
        print(f"seed {seed} {view}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--factors", action="store_true")
    options = parser.parse_args()
    results = []
    for seed in options.seeds:
        results.append(measure(options.work, seed, options.steps, options.batch, options.factors))
        print(json.dumps({"seed": seed, **results[-1]}), flush=True)
    for name in results[0]:
        values = [result[name] for result in results]
        print(f"{name:<28}{np.mean(values):6.1f}  ({', '.join(f'{v:.1f}' for v in values)})")


if __name__ == "__main__":
    main()
