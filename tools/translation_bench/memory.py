"""Memory of sampling, counted from the tensors that are alive, also without computing them."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tools.translation_bench.networks import Size, random_clip, random_models
from vidda.translate.stable_diffusion.conditions import Conditions
from vidda.translate.stable_diffusion.denoiser import Denoiser
from vidda.translate.stable_diffusion.prompt_encoder import PromptEncoder
from vidda.translate.stable_diffusion.sampling_config import SamplingConfig


class LiveBytes(TorchDispatchMode):
    """The most bytes of tensors alive at any time, of those that were made inside."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._known:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _forget(self, storage: int, size: int) -> None:
        self._known.remove(storage)
        self.now -= size


class _FusedAttention(TorchFunctionMode):
    """Attention that makes its result alone, as kernels of GPUs do; on the meta device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def count_memory(size: Size, config: SamplingConfig, slice_frames: int) -> tuple[float, float]:
    """Return the GiB at most in a step of all frames, and in decoding so many of them, in bf16.

    Weights and tensors are counted on PyTorch's meta device; what libraries take besides is not.
    """
    models = random_models(size, torch.device("meta"), torch.bfloat16)
    weights = sum(p.nbytes for module in models.modules() for p in module.parameters())
    denoiser = Denoiser(models, config.context, config.chunk, compile=False)
    side = models.unet.config.sample_size
    peaks = []
    with torch.inference_mode(), _FusedAttention():
        with LiveBytes() as live:
            clip, encoder = random_clip(size), PromptEncoder(models.tokenizer, models.text_encoder)
            conditions = Conditions([clip], models, encoder)
            latents = torch.empty(size.frames, 4, side, side, device="meta")
            timestep = torch.tensor(500)
            for _ in range(2):  # the first also embeds the control images
                denoiser.predict(latents, timestep, conditions, models.controlnets, config.guidance)
        peaks.append(live.peak)
        with LiveBytes() as live:
            models.vae.decode(latents[:slice_frames].to(torch.bfloat16))
        peaks.append(live.peak)
    step, decoding = ((weights + peak) / 2**30 for peak in peaks)
    return step, decoding
