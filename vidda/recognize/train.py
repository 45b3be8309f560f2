"""`vidda train`: a recognizer from labeled manifests, selected on the source's validation clips.

RUN/checkpoints/{best,last}      model.safetensors, model.yaml and the state of training
RUN/metrics.jsonl                loss and accuracy, step by step and epoch by epoch
RUN/predictions/val.npz          logits on the validation clips, of the best epoch
RUN/predictions/NAME/epoch_E.npz logits on the watched clips, without their labels
RUN/selection.json               the selected and the last epoch, and the scores of all epochs
"""

import sys

import torch
from accelerate import Accelerator

from vidda.errors import ViddaError
from vidda.recognize.feed import Feed
from vidda.recognize.freezing import freeze
from vidda.recognize.train_config import LAST, TrainConfig, TrainData, load_data
from vidda.recognize.training_run import TrainingRun, supervised
from vidda.recognize.watched_clips import print_watched

RESERVED_NAMES = {"train", "val", "val.npz"}
"""Names in RUN/predictions and of fingerprints that watched manifests must not have."""


def run(config: TrainConfig, *, dry_run: bool, resume: bool) -> int:
    """Train a recognizer, and save the selected epoch's predictions; return exit status 0.

    dry_run: only check, and print the plan. resume: continue an interrupted run. Raises ViddaError
    with a line for each mistake.
    """
    accelerator = config.accelerator()
    data = load_data(config)
    if found := find_problems(config, data, accelerator):
        raise ViddaError("\n".join(found))
    if accelerator.is_main_process:
        print_warnings(data)
    torch.manual_seed(config.seed)
    model = config.model.build(len(data.train.classes))
    frozen = freeze(model, config.freeze)
    steps = len(data.train) * config.repeats // config.batch_size
    if accelerator.is_main_process:
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        print(
            f"{config.model.name}, {trainable:,} trainable parameters, {frozen:,} frozen;"
            f" {len(data.train)} clips, {steps} steps of {config.batch_size} per epoch,"
            f" {config.epochs} epochs, on {accelerator.device} in {config.chosen_precision}"
        )
    if dry_run:
        return 0
    with config.open_run(data.fingerprints(), accelerator, resume) as folder:
        if folder.finished:
            print(f"{config.run}: already finished")
            print_watched(config.run, config.watch)
            return 0
        loader = config.training_loader(
            data.train,
            lambda epoch: data.order(config, epoch),
            accelerator,
            config.repeats,
            clip_input=config.model.clip_input(),
        )
        method = supervised(config, model.classes)
        TrainingRun(config, data, accelerator, model, folder, steps, method, Feed(loader)).run()
    return 0


def print_warnings(data: TrainData) -> None:
    """Print on standard error what is allowed but probably not intended."""
    for one in data.shared():
        print(f"warning: {one}", file=sys.stderr)
    used = {clip.label for clip in data.train.clips}
    empty = [name for label, name in enumerate(data.train.classes) if label not in used]
    if empty:
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        print(
            f"note: train has no clip of the classes {', '.join(empty[:5])}{more}; if its labels"
            " count from 1, change them to count from 0, or give class names only",
            file=sys.stderr,
        )


def find_problems(config: TrainConfig, data: TrainData, accelerator: Accelerator) -> list[str]:
    """Return every mistake that can be found before the first step, a line each."""
    found = []
    named = [
        *zip(map(str, config.train), data.sizes, strict=True),
        (str(config.val), len(data.val)),
    ]
    found += [f"{path}: no clips; prepare it again" for path, size in named if not size]
    for name, manifest in (("train", data.train), ("val", data.val)):
        without = [clip.id for clip in manifest.clips if clip.label is None]
        if without:
            found.append(
                f"{name}: {len(without)} clips have no label, first {without[0]!r};"
                " train on labeled manifests"
            )
    for name, manifest in (("val", data.val), *data.watch.items()):
        if manifest.classes and manifest.classes != data.train.classes:
            found.append(
                f"{name}: its classes {', '.join(manifest.classes)} are not those of train,"
                f" {', '.join(data.train.classes)}"
            )
    if config.strict:
        found += [f"{one}; remove them from one of the two" for one in data.shared()]
    found += config.problems(len(data.train), accelerator, config.repeats)
    return list(dict.fromkeys([*found, *config_problems(config, accelerator.num_processes)]))


def config_problems(config: TrainConfig, processes: int = 1) -> list[str]:
    """Return the mistakes that can be found in the config alone, a line each.

    processes: number of training processes.
    """
    found = config.config_problems(processes, config.repeats)
    for name in sorted(RESERVED_NAMES & config.watch.keys()):
        found.append(f"watch.{name}: this name is used by the run itself; choose another name")
    if config.patience is not None and config.select == LAST:
        found.append("patience: with select=last no epoch is the best one; remove one of the two")
    if config.weights is not None and len(config.weights) != len(config.train):
        found.append(
            f"weights: {len(config.weights)} for {len(config.train)} manifests; give one for each"
        )
    if not config.model.clip_input().pixels:
        found += _pixel_problems(config)
    for sampling in (config.sampling, config.test_sampling):
        try:
            config.model.check_input(sampling.frames, config.transform.size, config.transform.size)
        except ViddaError as error:
            found += str(error).splitlines()
    return found


def _pixel_problems(config: TrainConfig) -> list[str]:
    """Return a line for each key that changes pixels, for a recognizer that takes poses."""
    name, found = config.model.name, []
    if config.transform != TrainConfig.model_fields["transform"].default:
        found.append(
            f"transform: {name} takes poses, not pixels; leave it out (model.augment changes poses)"
        )
    if config.mixup or config.cutmix:
        found.append(f"mixup, cutmix: {name} takes poses, which do not mix; set both to 0")
    return found
