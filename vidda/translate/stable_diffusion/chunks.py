"""The chunks in which frames pass through the networks, and the keys and values kept in between.

Cross-frame attention needs keys and values of frames from earlier chunks. Those that a later chunk
needs are kept and the others dropped, so memory does not grow with the clip's length, and a frame
attends to the same frames whatever the chunk size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from vidda.translate.stable_diffusion.attention_context import ContextConfig


@dataclass(frozen=True, slots=True)
class Chunk:
    """B frames that pass through the networks together; all tensors are int64.

    numbers: the frames' numbers, counted clip after clip. frames: the same, (B,). source: (P,)
    positions in 0..B-1 of the frames whose keys and values are needed. Rows are those that the
    previous chunk kept, followed by these P. context: (B, M) the rows that each frame attends to.
    keep: (K,) the rows to keep for later chunks.
    """

    numbers: tuple[int, ...]
    frames: torch.Tensor
    source: torch.Tensor
    context: torch.Tensor
    keep: torch.Tensor

    def to(self, device: torch.device) -> "Chunk":
        """Return the chunk with its tensors on a device."""
        return Chunk(
            self.numbers,
            self.frames.to(device),
            self.source.to(device),
            self.context.to(device),
            self.keep.to(device),
        )


FrameAttention = tuple[int, tuple[int, ...]]
"""A frame's number, and those of the frames that it attends to."""


def plan_chunks(lengths: Sequence[int], context: ContextConfig, size: int) -> list[Chunk]:
    """Return the chunks for all frames of some clips, in the order in which they run.

    lengths: frames of each clip; frames are numbered clip after clip, and attend only within their
    clip. size: most frames of a chunk; one with a clip's anchors, which stay together, may be
    larger.
    """
    groups = list(_fill_chunks(_frame_groups(lengths, context), size))
    last_use = {
        frame: number
        for number, group in enumerate(groups)
        for _, attended in group
        for frame in attended
    }
    kept: list[int] = []
    chunks = []
    for number, group in enumerate(groups):
        source = [position for position, (frame, _) in enumerate(group) if frame in last_use]
        rows = kept + [group[position][0] for position in source]
        row = {frame: index for index, frame in enumerate(rows)}
        kept = [frame for frame in rows if last_use[frame] > number]
        frames = [frame for frame, _ in group]
        chunks.append(
            Chunk(
                numbers=tuple(frames),
                frames=_int_tensor(frames),
                source=_int_tensor(source),
                context=torch.tensor([[row[frame] for frame in attended] for _, attended in group]),
                keep=_int_tensor([row[frame] for frame in kept]),
            )
        )
    return chunks


def _frame_groups(lengths: Sequence[int], context: ContextConfig) -> Iterator[list[FrameAttention]]:
    """Yield groups of frames that must share a chunk: each clip's anchors, then single frames."""
    rest: list[list[FrameAttention]] = []
    start = 0
    for length in lengths:
        anchors = context.anchors(length)
        attending = [
            (start + frame, tuple(start + other for other in context.attended(frame, length)))
            for frame in range(length)
        ]
        if anchors:
            yield [attending[frame] for frame in anchors]
        rest += [[attending[frame]] for frame in range(length) if frame not in anchors]
        start += length
    yield from rest


def _fill_chunks(
    groups: Iterator[list[FrameAttention]], size: int
) -> Iterator[list[FrameAttention]]:
    """Yield chunks of whole groups, in which every frame attends to the same number of frames."""
    chunk: list[FrameAttention] = []
    for group in groups:
        if chunk and (len(chunk) + len(group) > size or len(chunk[0][1]) != len(group[0][1])):
            yield chunk
            chunk = []
        chunk += group
    yield chunk


def _int_tensor(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)
