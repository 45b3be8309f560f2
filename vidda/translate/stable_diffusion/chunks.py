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

    numbers: the B frames' numbers, counted clip after clip; only the first `count` are new, and the
    last of them is repeated to fill the chunk. frames: the numbers, (B,). source: (P,) positions in
    0..B-1 of the frames whose keys and values are needed. Rows are those that the previous chunk
    kept, followed by these P. context: (B, M) the rows that each frame attends to. keep: (K,) the
    rows to keep for later chunks.
    """

    numbers: tuple[int, ...]
    count: int
    frames: torch.Tensor
    source: torch.Tensor
    context: torch.Tensor
    keep: torch.Tensor

    def to(self, device: torch.device) -> "Chunk":
        """Return the chunk with its tensors on a device."""
        tensors = (self.frames, self.source, self.context, self.keep)
        return Chunk(self.numbers, self.count, *(tensor.to(device) for tensor in tensors))


FrameAttention = tuple[int, tuple[int, ...]]
"""A frame's number, and those of the frames that it attends to."""


def plan_chunks(
    lengths: Sequence[int], context: ContextConfig, size: int, *, alike: bool = False
) -> list[Chunk]:
    """Return the chunks for all frames of some clips, in the order in which they run.

    lengths: frames of each clip; frames are numbered clip after clip, and attend only within their
    clip. size: most frames of a chunk; one with a clip's anchors, which stay together, may be
    larger. alike: fill chunks and what they keep, so that tensors have few different shapes, for
    which a compiled network has few graphs.
    """
    groups = list(_fill_chunks(_frame_groups(lengths, context), size))
    last_use = {
        frame: number
        for number, group in enumerate(groups)
        for _, attended in group
        for frame in attended
    }
    kept: list[list[int]] = [[]]
    sources = []
    for number, group in enumerate(groups):
        sources.append([at for at, (frame, _) in enumerate(group) if frame in last_use])
        rows = kept[-1] + [group[at][0] for at in sources[-1]]
        kept.append([frame for frame in rows if last_use[frame] > number])
    sizes = [len(group) for group in groups]
    if alike:
        sizes = _sizes_alike(groups, size)
        kept = _fill_kept(kept, groups[0][0][0])
    return [
        _chunk(group, sizes[number], kept[number], sources[number], kept[number + 1])
        for number, group in enumerate(groups)
    ]


def _chunk(
    group: list[FrameAttention], size: int, kept: list[int], source: list[int], keep: list[int]
) -> Chunk:
    """Return the chunk of a group of frames, whose last one is repeated up to `size`.

    kept, keep: frames whose rows the previous chunk and this one keep. source: see `Chunk`.
    """
    rows = kept + [group[position][0] for position in source]
    row = {frame: rows.index(frame) for frame in rows}
    filled = group + group[-1:] * (size - len(group))
    if len(source) == len(group):  # of every frame, so that none is picked out
        source = list(range(size))
    frames = [frame for frame, _ in filled]
    return Chunk(
        numbers=tuple(frames),
        count=len(group),
        frames=_int_tensor(frames),
        source=_int_tensor(source),
        context=torch.tensor([[row[frame] for frame in attended] for _, attended in filled]),
        keep=_int_tensor([row[frame] for frame in keep]),
    )


def _fill_kept(kept: list[list[int]], first: int) -> list[list[int]]:
    """Return the frames that each chunk keeps, after every chunk equally many.

    kept: before the first chunk, where there are none, and after each. first: the first chunk's
    first frame.
    """
    most = max(map(len, kept))
    filled: list[list[int]] = [[]]
    for frames in kept[1:]:
        spare = filled[-1][0] if filled[-1] else first
        filled.append(frames + [spare] * (most - len(frames)))
    return filled


def _sizes_alike(groups: list[list[FrameAttention]], size: int) -> list[int]:
    """Return the number of frames up to which each group is filled.

    It is the same for all groups whose frames attend to equally many others, and `size` or a
    half, a quarter, ... of it, unless anchors need more.
    """
    most: dict[int, int] = {}
    for group in groups:
        attended = len(group[0][1])
        most[attended] = max(most.get(attended, 0), len(group))
    return [_halved(size, most[len(group[0][1])]) for group in groups]


def _halved(size: int, least: int) -> int:
    """Return the size, halved as often as it is not under `least`; `least` where it is under."""
    while size // 2 >= least:
        size //= 2
    return max(size, least)


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
