"""In what order and company frames pass through the networks, and what is kept in between.

Attention across frames needs keys and values of frames that passed in an earlier chunk. Those that
a later chunk needs are kept, the others are forgotten: memory does not grow with the clip's length,
and which chunk a frame is in does not change what it attends to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from vidda.translate.stable_diffusion.attention_context import ContextConfig


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames that pass through the networks together; all tensors are int64.

    numbers: of the B frames, counted clip after clip; frames: the same, (B,). source: (P,) which of
    the B have keys and values that are needed. The rest count rows of what an earlier chunk kept
    followed by these P: context: (B, M) the rows that each frame attends to; keep: (K,) the rows
    kept for later chunks.
    """

    numbers: tuple[int, ...]
    frames: torch.Tensor
    source: torch.Tensor
    context: torch.Tensor
    keep: torch.Tensor

    def to(self, device: torch.device) -> "Chunk":
        """Return the same on a device."""
        return Chunk(
            self.numbers,
            self.frames.to(device),
            self.source.to(device),
            self.context.to(device),
            self.keep.to(device),
        )


Attending = tuple[int, tuple[int, ...]]  # a frame's number, and those of the frames it attends to


def plan(lengths: Sequence[int], context: ContextConfig, size: int) -> list[Chunk]:
    """Return the chunks in which the frames of some clips pass, in order.

    lengths: frames of each clip; frames are numbered clip after clip, and attend only within their
    clip. size: most frames of a chunk; one with a clip's anchors, which stay together, may be
    larger.
    """
    parts = list(_split(_groups(lengths, context), size))
    last_use = {
        attended: number
        for number, part in enumerate(parts)
        for _, seen in part
        for attended in seen
    }
    kept: list[int] = []
    chunks = []
    for number, part in enumerate(parts):
        source = [place for place, (frame, _) in enumerate(part) if frame in last_use]
        rows = kept + [part[place][0] for place in source]
        row = {frame: index for index, frame in enumerate(rows)}
        kept = [frame for frame in rows if last_use[frame] > number]
        frames = [frame for frame, _ in part]
        chunks.append(
            Chunk(
                numbers=tuple(frames),
                frames=_numbers(frames),
                source=_numbers(source),
                context=torch.tensor([[row[seen] for seen in attended] for _, attended in part]),
                keep=_numbers([row[frame] for frame in kept]),
            )
        )
    return chunks


def _groups(lengths: Sequence[int], context: ContextConfig) -> Iterator[list[Attending]]:
    """Yield frames that must pass together: first every clip's anchors, then each other frame
    alone.
    """
    rest: list[list[Attending]] = []
    start = 0
    for length in lengths:
        anchors = context.anchors(length)
        attending = [
            (start + frame, tuple(start + seen for seen in context.attended(frame, length)))
            for frame in range(length)
        ]
        if anchors:
            yield [attending[frame] for frame in anchors]
        rest += [[attending[frame]] for frame in range(length) if frame not in anchors]
        start += length
    yield from rest


def _split(groups: Iterator[list[Attending]], size: int) -> Iterator[list[Attending]]:
    """Fill chunks with groups whose frames all attend to equally many."""
    part: list[Attending] = []
    for group in groups:
        if part and (len(part) + len(group) > size or len(part[0][1]) != len(group[0][1])):
            yield part
            part = []
        part += group
    yield part


def _numbers(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)
