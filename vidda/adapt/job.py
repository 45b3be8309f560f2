"""`vidda adapt`: a recognizer from labeled source clips and target clips without labels.

The run folder is that of `vidda train`, and besides

RUN/checkpoints/*/method.safetensors    what the method learns and remembers
RUN/predictions/target/epoch_E.npz      logits on the target clips, for scores without labels
RUN/features/NAME/epoch_E.npz           with features=true, see `adapting.py`
RUN/online/epoch_E.npz                  answers of a method of test time, each right after its step
FROZEN/*/N.safetensors                  with frozen=FOLDER, see `frozen.py`; for many runs
RUN/metrics.jsonl                       has scores without target labels too, see `selecting.py`

The target's labels are dropped as its manifest is read; the epoch is chosen by the source's
validation clips, or by another of these scores.
"""

from collections.abc import Iterator

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from vidda.adapt.adapt_config import AdaptConfig, AdaptData, load_adapt_data
from vidda.adapt.frozen import keep_states, lower_patterns, stand_on_states, states_loader
from vidda.adapt.selecting import Selecting
from vidda.adapt.temporal_relations import framewise
from vidda.errors import ViddaError
from vidda.evaluate.label_free_scores import NEED_FEATURES
from vidda.recognize.feed import Feed, cycled, rounds
from vidda.recognize.framewise import Framewise
from vidda.recognize.freezing import freeze
from vidda.recognize.pretrained_weights import load_state
from vidda.recognize.recognizer import Recognizer
from vidda.recognize.saved_recognizer import load_model
from vidda.recognize.train import problems, tell_odd
from vidda.recognize.training import supervised


def run(config: AdaptConfig, *, dry_run: bool, resume: bool) -> int:
    """Check everything, adapt, and leave the chosen epoch's predictions; 0 when finished."""
    accelerator = config.accelerator()
    data = load_adapt_data(config)
    _check(config, data, accelerator)
    tell_odd(data)
    torch.manual_seed(config.seed)
    model = config.model.build(len(data.train.classes))
    if config.start is not None:
        _begin_from(config, model, data)
    lower = lower_patterns(framewise(model, "frozen")) if config.frozen else ()
    frozen = freeze(model, (*config.freeze, *lower))
    method = config.method.build(model, supervised(config, model.classes), data.setting(config))
    steps = data.steps(config)
    learning = _learning(model), _learning(method)
    print(
        f"{config.method.name}: {config.model.name}, {learning[0]:,} parameters that learn,"
        f" {frozen:,} frozen, {learning[1]:,} of the method; {len(data.train)} source and"
        f" {len(data.target)} target clips, {steps} steps of {config.batch_size} +"
        f" {config.target_clips} an epoch, {config.epochs} epochs, on {accelerator.device} in"
        f" {config.precision}"
    )
    if dry_run:
        return 0
    with config.opened(data.fingerprints(), accelerator, resume) as folder:
        if folder.finished:
            print(f"{config.run}: already finished")
            return 0
        if config.frozen is not None:
            _keep_states(config, data, accelerator, framewise(model, "frozen"))
        feed = _feed(config, data, accelerator, steps, model)
        Selecting(config, data, accelerator, model, folder, steps, method, feed, data.target).run()
    return 0


def _learning(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _keep_states(
    config: AdaptConfig, data: AdaptData, accelerator: Accelerator, model: Framewise
) -> None:
    """Compute what the frozen part makes of every clip, and let the rest stand on that."""
    for manifest in (data.train, data.val, *data.watch.values()):
        keep_states(config, model, manifest, accelerator.device)
    stand_on_states(model)


def _feed(
    config: AdaptConfig, data: AdaptData, accelerator: Accelerator, steps: int, model: Recognizer
) -> Feed:
    """Return the source, and the target, which is gone through round after round beside it."""
    clips, count, views = len(data.target), steps * config.target_clips, config.method.views

    def order(epoch: int) -> np.ndarray:
        again, number = np.divmod(cycled(clips, count, seed=config.seed, epoch=epoch), clips)
        draws = again[:, None] * views + np.arange(views)
        return (draws * clips + number[:, None]).ravel()

    def own(epoch: int) -> np.ndarray:
        return data.order(config, epoch)[: steps * config.batch_size]

    if config.frozen is not None:
        head, size = framewise(model, "frozen"), config.batch_size
        return Feed(
            states_loader(config, head, data.train, size, own),
            states_loader(config, head, data.target, config.target_clips, order),
        )
    shown = config.model_copy(update={"batch_size": config.target_clips * views})
    target = shown.training_loader(data.target, order, accelerator, rounds(clips, count) * views)
    if config.method.source_free:
        return Feed(None, target)
    return Feed(config.training_loader(data.train, own, accelerator, config.repeats), target)


def _begin_from(config: AdaptConfig, model: Recognizer, data: AdaptData) -> None:
    """Give the model the weights of `start`; ViddaError where it is another architecture."""
    assert config.start is not None
    trained, card = load_model(config.start)
    if card.classes != data.train.classes:
        raise ViddaError(
            f"start: {config.start} knows the classes {', '.join(card.classes)}, train has"
            f" {', '.join(data.train.classes)}"
        )
    load_state(model, trained.state_dict(), str(config.start))


def _check(config: AdaptConfig, data: AdaptData, accelerator: Accelerator) -> None:
    """Every mistake that can be known before the first step, a line each."""
    found = problems(config, data, accelerator)
    if not len(data.target):
        found.append(f"{config.target}: no clips; prepare it again")
    if "target" in config.watch:
        found.append("watch.target: the target's clips are predicted under this name; take another")
    if config.select in NEED_FEATURES and not config.features:
        found.append(f"select: {config.select} is computed from features; give features=true too")
    if config.target_clips % config.accumulate:
        found.append(
            f"target_batch_size: {config.target_clips} is not a multiple of accumulate,"
            f" {config.accumulate}"
        )
    found += _lone(config)
    if accelerator.num_processes > 1:
        found.append("vidda adapt runs in one process; start it without torchrun or accelerate")
    if config.method.source_free and config.start is None:
        found.append(
            f"start: {config.method.name} goes on from a recognizer that was trained on the source;"
            " name its run"
        )
    if config.method.source_free and config.target_clips > len(data.target):
        found.append(
            f"target_batch_size: {config.target_clips} is more than the {len(data.target)} target"
            " clips there are; lower it"
        )
    if config.frozen is not None:
        found += _frozen_problems(config)
    found += config.method.problems(data.setting(config))
    if found:
        raise ViddaError("\n".join(dict.fromkeys(found)))


def _lone(config: AdaptConfig) -> Iterator[str]:
    """Sizes of batches that leave a method too few clips in every part of one."""
    least = config.method.least
    sizes = {"batch_size": config.batch_size, "target_batch_size": config.target_clips}
    if config.method.source_free:
        del sizes["batch_size"]
    for key, size in sizes.items():
        clips = size // config.accumulate
        if 0 < clips < least:
            yield (
                f"{key}: {size} in accumulate={config.accumulate} parts leaves {clips} clip a part,"
                f" and {config.method.name} compares {least} or more; raise it or lower accumulate"
            )


def _frozen_problems(config: AdaptConfig) -> list[str]:
    found = []
    if config.method.pixels:
        found.append(
            f"frozen: {config.method.name} needs the clips themselves, not features of them; leave"
            " frozen out"
        )
    if config.mixup or config.cutmix:
        found.append("mixup, cutmix: these mix clips, not what is frozen of them; set both to 0")
    if config.test_sampling.name == "views":
        found.append("test_sampling: frozen keeps one view of each clip; take uniform or center")
    return found
