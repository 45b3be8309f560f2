"""Names in a job's config: what they may refer to, and the folders that they become."""

from collections.abc import Iterator, Sequence

from vidda.experiment.experiment_config import (
    SOURCE,
    TARGET,
    CameraMatchedVariant,
    DataConfig,
    ExperimentConfig,
    TranslatedVariant,
)


def slug(name: str) -> str:
    """Return a name as part of a path."""
    return name.replace(" ", "_")


def problems(config: ExperimentConfig) -> list[str]:
    """Return names that stand twice or for nothing, and weights without data, a line each."""
    return [*data_problems(config, "recognizers"), *_arms(config)]


def data_problems(config: DataConfig, *keys: str) -> list[str]:
    """Return the same of the names that jobs share. keys: further ones whose names
    become folders.
    """
    return [*_clashes(config, *keys), *_variants(config)]


def _clashes(config: DataConfig, *keys: str) -> Iterator[str]:
    for key in ("tasks", "seeds"):
        values = getattr(config, key)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{key}: {value!r} stands twice"
    for key in (*keys, "variants", "personalize"):
        names = [slug(name) for name in getattr(config, key)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{key}: two names would both become the folder {name}"


def _variants(config: DataConfig) -> Iterator[str]:
    for name, variant in config.variants.items():
        if name in (SOURCE, TARGET):
            yield f"variants.{name}: this name stands for the data itself; take another"
        if isinstance(variant, TranslatedVariant):
            for wanted in variant.personalized:
                if wanted not in config.personalize:
                    yield f"variants.{name}.personalized: {wanted!r} is not in personalize"
        if isinstance(variant, CameraMatchedVariant) and variant.of != SOURCE:
            still = config.variants.get(variant.of)
            if still is None or isinstance(still, CameraMatchedVariant):
                yield f"variants.{name}.of: {variant.of!r} cannot be camera-matched"


def _arms(config: ExperimentConfig) -> Iterator[str]:
    for name, arm in config.arms.items():
        yield from unknown_data(config, f"arms.{name}.data", arm.data)
        if arm.weights is not None and len(arm.weights) != len(arm.data):
            yield f"arms.{name}.weights: {len(arm.weights)} for {len(arm.data)} parts of data"
        if arm.adapt is not None and TARGET in arm.data:
            yield f"arms.{name}.adapt: it is trained on the target's labels; leave adapt out"


def unknown_data(config: DataConfig, where: str, data: Sequence[str]) -> Iterator[str]:
    """Yield names of data that are neither the task's own nor a variant's."""
    known = (SOURCE, TARGET, *config.variants)
    for part in data:
        if part not in known:
            yield f"{where}: {part!r} is not one of {', '.join(known)}"
