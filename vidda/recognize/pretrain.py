"""`vidda pretrain`: VideoMAE learns from clips without labels, of source and target together.

RUN/videomae/   the encoder and decoder in the format of transformers; train with
                model.start.name=folder model.start.path=RUN/videomae
"""

import numpy as np
import torch
from pydantic import Field
from torch import nn

from vidda.data import load_manifest
from vidda.data.join_manifests import join_manifests
from vidda.errors import ViddaError
from vidda.recognize.clip_input import FrameInput
from vidda.recognize.feed import Feed
from vidda.recognize.loop import train
from vidda.recognize.loop_config import LoopConfig
from vidda.recognize.method import Method, SourceBatch, TargetBatch, Terms
from vidda.recognize.saved_recognizer import WEIGHTS, save_weights
from vidda.recognize.videomae_pretraining import MaskedAutoencoder, VideoMaePretrainingConfig

FOLDER = "videomae"


class PretrainConfig(LoopConfig):
    """The config of `vidda pretrain`: VideoMAE and the loop; labels are not read."""

    model: VideoMaePretrainingConfig = Field(
        VideoMaePretrainingConfig(), description="encoder, decoder and mask ratio"
    )


class MaskedAutoencoding(Method):
    """Masked autoencoding: reconstruct masked tubes of each clip (VideoMAE, arXiv 2203.12602,
    section 3.2).
    """

    def step(self, model: nn.Module, source: SourceBatch, target: TargetBatch) -> Terms:
        """Return the reconstruction loss of the source's clips; labels and target are not used."""
        video = source.inputs
        bare = getattr(model, "module", model)
        assert isinstance(bare, MaskedAutoencoder)
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        mask = bare.draw_mask(len(video), generator).to(video.device)
        return Terms({"loss": model(video, mask).float()}, {})


def run(config: PretrainConfig, *, dry_run: bool, resume: bool) -> int:
    """Pre-train a model, and write the folder to start training from; return exit status 0.

    dry_run: only check, and print the plan. resume: continue an interrupted run. Raises ViddaError
    with a line for each mistake.
    """
    accelerator = config.accelerator()
    manifest = join_manifests([load_manifest(path).unlabeled() for path in config.train])
    problems = config.problems(len(manifest), accelerator)
    try:
        size = config.transform.size
        config.model.check_input(config.sampling.frames, size, size)
    except ViddaError as error:
        problems += str(error).splitlines()
    if problems:
        raise ViddaError("\n".join(problems))
    torch.manual_seed(config.seed)
    model = config.model.build()
    steps = len(manifest) // config.batch_size
    if accelerator.is_main_process:
        print(
            f"videomae, {sum(p.numel() for p in model.parameters()):,} parameters;"
            f" {len(manifest)} clips, {steps} steps of {config.batch_size} per epoch,"
            f" {config.epochs} epochs, on {accelerator.device} in {config.chosen_precision}"
        )
    if dry_run:
        return 0
    fingerprints = {"train": manifest.fingerprint()}
    with config.open_run(fingerprints, accelerator, resume) as folder:
        if folder.finished:
            print(f"{config.run}: already finished")
            return 0
        modules = config.loop_modules(model, MaskedAutoencoding(), accelerator)
        loader = config.training_loader(
            manifest,
            lambda epoch: np.random.default_rng([config.seed, epoch]).permutation(len(manifest)),
            accelerator,
            clip_input=FrameInput(),
        )
        train(
            folder,
            modules,
            Feed(loader),
            config.loop_schedule(steps),
            config.seed,
            # There is no score: the newest epoch counts as the best.
            end_epoch=lambda epoch: (float(epoch), {}),
            save_model=lambda folder, trained: save_weights(folder / WEIGHTS, trained),
        )
        if accelerator.is_main_process:
            model.save(config.run / FOLDER)
            folder.finish()
            print(f"done: {config.run / FOLDER}")
    return 0
