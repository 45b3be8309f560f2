"""`vidda adapt`: a recognizer from labeled source clips and target clips without labels.

The run folder is that of `vidda train`, and in addition:

RUN/checkpoints/*/method.safetensors    parameters and buffers of the method
RUN/predictions/target/epoch_E.npz      logits on the target clips, for scores without labels
RUN/features/NAME/epoch_E.npz           with features=true, see `adaptation_run.py`
RUN/online/epoch_E.npz                  a test-time method's predictions, each right after its step
FROZEN/*/N.safetensors                  with frozen=FOLDER, see `frozen.py`; for many runs
RUN/metrics.jsonl                       has scores without target labels too, see
                                        `adaptation_run.py`

The target's labels are dropped as its manifest is read; the epoch is chosen by the source's
validation clips, or by another of these scores.
"""

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from vidda.adapt.adapt_config import TARGET, AdaptConfig, AdaptData, load_adapt_data
from vidda.adapt.adaptation_run import AdaptationRun
from vidda.adapt.frozen import compute_states, frozen_patterns, states_loader
from vidda.adapt.temporal_relations import require_framewise
from vidda.errors import ViddaError
from vidda.evaluate.label_free_scores import NEED_FEATURES
from vidda.recognize.feed import Feed, cycle_items, max_repeats
from vidda.recognize.freezing import freeze
from vidda.recognize.pretrained_weights import load_state
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.train import find_problems, print_warnings
from vidda.recognize.training_run import supervised
from vidda.recognize.watched_clips import print_watched


def run(config: AdaptConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, adapt, and save the chosen epoch's predictions; return 0 when finished.

    Raises ViddaError, a line for each mistake.
    """
    accelerator = config.accelerator()
    data = load_adapt_data(config)
    _check_inputs(config, data, accelerator)
    print_warnings(data)
    torch.manual_seed(config.seed)
    model = config.model.build(len(data.train.classes))
    if config.start is not None:
        _load_start(config, model, data)
    patterns = frozen_patterns(require_framewise(model, "frozen")) if config.frozen else ()
    frozen = freeze(model, (*config.freeze, *patterns))
    if frozen and config.method.aligns_features:
        _require_trainable_features(config, model)
    method = config.method.build(
        model, supervised(config, model.classes), data.method_settings(config)
    )
    steps = data.steps(config)
    print(
        f"{config.method.name}: {config.model.name}, {_count_trainable(model):,} trainable"
        f" parameters, {frozen:,} frozen, {_count_trainable(method):,} of the method;"
        f" {len(data.train)} source and {len(data.target)} target clips, {steps} steps of"
        f" {config.batch_size} + {config.target_clips} per epoch, {config.epochs} epochs, on"
        f" {accelerator.device} in {config.chosen_precision}"
    )
    if dry_run:
        return 0
    with config.open_run(data.fingerprints(), accelerator, resume) as folder:
        if folder.finished:
            print(f"{config.run}: already finished")
            print_watched(config.run, config.watch)
            return 0
        if config.frozen is not None:
            head = require_framewise(model, "frozen")
            for manifest in (data.train, data.val, *data.watch.values()):
                compute_states(config, head, manifest, accelerator.device)
        feed = _build_feed(config, data, accelerator, steps, model)
        AdaptationRun(config, data, accelerator, model, folder, steps, method, feed).run()
    return 0


def _require_trainable_features(config: AdaptConfig, model: Recognizer) -> None:
    """Raise ViddaError where no trained parameter changes the features."""
    shape = config.model.clip_input().shape(config.sampling, config.transform)
    model.eval()  # a batch of one has no statistics
    if not model(torch.zeros(1, *shape)).features.requires_grad:
        raise ViddaError(
            f"method.name {config.method.name} aligns features, but freeze leaves none of them to"
            f" train ({', '.join(config.freeze)}); freeze fewer, or take a method of the"
            " predictions such as mcc"
        )


def _count_trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _build_feed(
    config: AdaptConfig, data: AdaptData, accelerator: Accelerator, steps: int, model: Recognizer
) -> Feed:
    """Return the source's batches with the target's, which is repeated as often as the source
    needs.
    """
    clips, count, views = len(data.target), steps * config.target_clips, config.method.target_views

    def target_order(epoch: int) -> np.ndarray:
        repeat, number = np.divmod(cycle_items(clips, count, seed=config.seed, epoch=epoch), clips)
        draws = repeat[:, None] * views + np.arange(views)
        return (draws * clips + number[:, None]).ravel()

    def source_order(epoch: int) -> np.ndarray:
        return data.order(config, epoch)[: steps * config.batch_size]

    if config.frozen is not None:
        head, size = require_framewise(model, "frozen"), config.batch_size
        return Feed(
            states_loader(config, head, data.train, size, source_order),
            states_loader(config, head, data.target, config.target_clips, target_order),
        )
    target_config = config.model_copy(update={"batch_size": config.target_clips * views})
    clip_input = config.model.clip_input()
    target = target_config.training_loader(
        data.target,
        target_order,
        accelerator,
        max_repeats(clips, count) * views,
        clip_input=clip_input,
        use="target",
    )
    if config.method.source_free:
        return Feed(None, target)
    source = config.training_loader(
        data.train, source_order, accelerator, config.repeats, clip_input=clip_input
    )
    return Feed(source, target)


def _load_start(config: AdaptConfig, model: Recognizer, data: AdaptData) -> None:
    """Load the weights of `start`; raises ViddaError for another architecture or other classes."""
    assert config.start is not None
    trained, card = load_model(config.start)
    if card.classes != data.train.classes:
        raise ViddaError(
            f"start: {config.start} has the classes {', '.join(card.classes)}, but train has"
            f" {', '.join(data.train.classes)}"
        )
    load_state(model, trained.state_dict(), str(config.start))


def _check_inputs(config: AdaptConfig, data: AdaptData, accelerator: Accelerator) -> None:
    """Raise ViddaError with every mistake that can be found before the first step, a line each."""
    found = find_problems(config, data, accelerator)
    if not len(data.target):
        found.append(f"{config.target}: no clips; prepare it again")
    if TARGET in config.watch:
        found.append(
            "watch.target: this name is used for the target's predictions; choose another name"
        )
    if config.select in NEED_FEATURES and not config.features:
        found.append(f"select: {config.select} is computed from features; set features=true")
    if config.target_clips % config.accumulate:
        found.append(
            f"target_batch_size: {config.target_clips} is not a multiple of accumulate,"
            f" {config.accumulate}"
        )
    found += _small_batch_problems(config)
    if accelerator.num_processes > 1:
        found.append("vidda adapt runs in one process; start it without torchrun or accelerate")
    if config.method.source_free and config.start is None:
        found.append(
            f"start: {config.method.name} starts from a recognizer trained on the source; name its"
            " run"
        )
    if config.method.source_free and config.target_clips > len(data.target):
        found.append(
            f"target_batch_size: {config.target_clips} is more than the {len(data.target)} clips of"
            " the target; lower it"
        )
    if config.frozen is not None:
        found += _frozen_problems(config)
    if not config.model.clip_input().pixels and config.method.needs_pixels:
        found.append(
            f"method: {config.method.name} works on frames, but {config.model.name} takes poses;"
            " choose a method on features, such as dan, coral or mcc"
        )
    found += config.method.problems(data.method_settings(config))
    if found:
        raise ViddaError("\n".join(dict.fromkeys(found)))


def _small_batch_problems(config: AdaptConfig) -> Iterator[str]:
    """Yield a line for each batch size that leaves a method too few clips in a part of a batch."""
    needed = config.method.min_clips
    sizes = {"batch_size": config.batch_size, "target_batch_size": config.target_clips}
    if config.method.source_free:
        del sizes["batch_size"]
    for key, size in sizes.items():
        clips = size // config.accumulate
        if 0 < clips < needed:
            yield (
                f"{key}: {size} in accumulate={config.accumulate} parts has parts of {clips} clip,"
                f" but {config.method.name} needs at least {needed}; raise it or lower accumulate"
            )


def _frozen_problems(config: AdaptConfig) -> list[str]:
    found = []
    if not config.model.clip_input().pixels:
        found.append(f"frozen: {config.model.name} is small, and augments poses; leave it out")
    if config.method.needs_pixels:
        found.append(
            f"frozen: {config.method.name} works on the clips themselves, not on features of them;"
            " remove frozen"
        )
    if config.mixup or config.cutmix:
        found.append("mixup, cutmix: these mix clips, not frozen features; set both to 0")
    if config.test_sampling.name == "views":
        found.append("test_sampling: frozen stores one view of each clip; set uniform or center")
    return found
