"""Other views of clips: slow motion, fewer frames, another clip's background."""

import torch


def stretch_in_time(video: torch.Tensor, share: float) -> torch.Tensor:
    """Return a part of each clip, from a random start, slowed down to the clip's number of frames.

    video: (B, C, T, H, W), as is the result. share: of the clip's duration that is shown, in (0,
    1]; 1 leaves clips unchanged. Frames are repeated, not blended. Draws from torch's global
    generator, on the CPU.
    """
    clips, _, frames, _, _ = video.shape
    start = torch.rand(clips, 1) * (1 - share) * (frames - 1)
    picked = (start + torch.linspace(0, share * (frames - 1), frames)).round().long()
    numbers = picked.to(video.device)[:, None, :, None, None].expand_as(video)
    return video.gather(2, numbers)


def subsample_frames(video: torch.Tensor, count: int) -> torch.Tensor:
    """Return clips with only `count` different frames, each repeated until the next, so that T
    stays.

    video: (B, C, T, H, W), as is the result. count: 1 to T. One frame of each of `count` equal
    parts of the clip is drawn from torch's global generator, the same for all clips.
    """
    frames = video.shape[2]
    parts = torch.arange(frames).tensor_split(count)
    kept = torch.stack([part[torch.randint(len(part), ())] for part in parts])
    return video[:, :, kept[torch.arange(frames) * count // frames].to(video.device)]


def mix_background(video: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Return clips blended with another clip's still background: (1 - share) x + share bg.

    video: (B, C, T, H, W), as is the result. other: (B', C, T', H, W); the background of clip n is
    the median over time of clip n modulo B'. share: in [0, 1]. Sahoo et al., Contrast and Mix
    (CoMix), NeurIPS 2021, background mixing; there the medians are computed beforehand.
    """
    median = other.median(dim=2, keepdim=True).values
    background = median[torch.arange(len(video), device=other.device) % len(other)]
    return (1 - share) * video + share * background
