"""The translation of clips by diffusers' pipeline of Wan VACE, one clip a call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vidda import video
from vidda.errors import ViddaError
from vidda.translate.clip_job import ClipJob
from vidda.translate.memory_ladder import MemoryLadder
from vidda.translate.stable_diffusion.noise import generator
from vidda.translate.wan_vace.t5_prompts import T5Prompts
from vidda.translate.wan_vace.vace_config import VaceSamplingConfig
from vidda.translate.wan_vace.vace_files import VaceFiles
from vidda.translate.wan_vace.vace_inputs import clip_problems, vace_inputs
from vidda.translate.wan_vace.vace_loading import build_vace_scheduler


class WanVaceTranslator:
    """Translates clips with one pipeline and one config.

    pipeline: diffusers' WanVACEPipeline without text encoder. references: target videos, of which a
    clip's seed chooses one.
    """

    def __init__(
        self,
        pipeline: Any,
        prompts: T5Prompts,
        files: VaceFiles,
        config: VaceSamplingConfig,
        references: tuple[Path, ...],
    ) -> None:
        self._pipeline, self._prompts = pipeline, prompts
        self._files, self._config, self._references = files, config, references
        self._device = pipeline.transformer.device
        if config.vae_tiling:
            pipeline.vae.enable_tiling()
        tiling = "" if config.vae_tiling else "backbone.sampling.vae_tiling=true, "
        self.ladder = MemoryLadder(
            [
                ("the text encoder in main memory", prompts.park),
                ("the transformer in main memory, a layer at a time on the device", self._offload),
            ],
            f"take smaller or fewer frames, {tiling}precision bf16 or a larger device",
        )

    def translate(self, clips: Sequence[ClipJob]) -> list[np.ndarray]:
        """Return the translation of each clip, (T, H, W, 3) uint8 RGB.

        clips: with frames as many as `WanVace.frames` returns. Raises ViddaError, naming every
        mistake, before anything is computed, and when memory runs out or a value is not finite.
        """
        multiple = self._files.multiple
        problems = [one for clip in clips for one in clip_problems(clip, self._config, multiple)]
        if problems:
            raise ViddaError("\n".join(dict.fromkeys(problems)))
        return [self.ladder.run(lambda clip=clip: self._translate(clip)) for clip in clips]  # type: ignore[misc]

    @torch.inference_mode()
    def _translate(self, clip: ClipJob) -> np.ndarray:
        config, pipeline = self._config, self._pipeline
        count, height, width = clip.frames.shape[:3]
        assert count % self._files.frames_per_latent == 1  # diffusers would cut the rest off
        inputs = vace_inputs(clip, config, self._files.frames_per_latent)
        pipeline.scheduler = build_vace_scheduler(self._files.scheduler, config.flow_shift)
        guided = config.guidance > 1
        pixels = pipeline(
            # Images, for arrays of 0..255 would be taken for 0..1.
            video=[Image.fromarray(frame) for frame in inputs.video],
            mask=[Image.fromarray(frame) for frame in inputs.mask],
            reference_images=self._reference(clip.seed),
            conditioning_scale=config.scale,
            height=height,
            width=width,
            num_frames=count,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance,
            generator=generator(clip.seed, "noise"),
            prompt_embeds=self._prompts.encode(clip.prompt),
            negative_prompt_embeds=self._prompts.encode(clip.negative) if guided else None,
            output_type="np",
        ).frames[0]
        if not np.isfinite(pixels).all():
            raise ViddaError(
                "the decoded frames have values that are not finite; take bf16 or fp32 instead of"
                " fp16"
            )
        frames = np.rint(pixels * 255).astype(np.uint8)
        assert frames.shape == clip.frames.shape
        if config.keep_person is not None:
            assert clip.mask is not None  # checked before
            config.keep_person.paste(frames, clip.frames, clip.mask)
        return frames

    def _reference(self, seed: int) -> list[Image.Image] | None:
        """Return the middle frame of the target video that a clip's seed chooses; None: of none."""
        if not self._references:
            return None
        path = self._references[seed % len(self._references)]
        middle = np.array([video.probe(path).frames // 2])
        return [Image.fromarray(video.read(path, middle)[0])]

    def _offload(self) -> None:
        self._pipeline.transformer.enable_group_offload(
            onload_device=self._device, offload_type="leaf_level"
        )
