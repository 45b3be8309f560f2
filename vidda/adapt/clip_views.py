"""The same clips at other paces: parts of them in time, stretched to their full length."""

import torch


def stretched(video: torch.Tensor, share: float) -> torch.Tensor:
    """Return a part of each clip, from a random start, slowed down to as many frames as the clip
    has.

    video: (B, C, T, H, W). share: of the clip's time that is seen, in (0, 1]; at 1 the clips stay
    as they are. Frames are repeated, not blended. Draws from torch's global generator, on the CPU.
    """
    clips, _, frames, _, _ = video.shape
    start = torch.rand(clips, 1) * (1 - share) * (frames - 1)
    picked = (start + torch.linspace(0, share * (frames - 1), frames)).round().long()
    places = picked.to(video.device)[:, None, :, None, None].expand_as(video)
    return video.gather(2, places)


def subsampled(video: torch.Tensor, count: int) -> torch.Tensor:
    """Return each clip with `count` of its frames alone, each held until the next: as many as
    before.

    video: (B, C, T, H, W). The frames are one of each of `count` equal parts, the same ones for all
    clips, drawn from torch's global generator.
    """
    frames = video.shape[2]
    parts = torch.arange(frames).tensor_split(count)
    kept = torch.stack([part[torch.randint(len(part), ())] for part in parts])
    return video[:, :, kept[torch.arange(frames) * count // frames].to(video.device)]


def with_background(video: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Return clips with another clip's still background over them: (1 - share) x + share bg.

    video: (B, C, T, H, W). other: (B', C, T', H, W); clip n gets the background of n modulo B',
    the median over its time. share: in [0, 1]. Sahoo et al., Contrast and Mix (CoMix), NeurIPS
    2021, background mixing; the medians are made here, not beforehand.
    """
    background = other.median(dim=2, keepdim=True).values
    given = background[torch.arange(len(video), device=other.device) % len(other)]
    return (1 - share) * video + share * given
