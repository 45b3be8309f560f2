"""Names in a job's config: what they may refer to, and the folders that they become."""

from collections.abc import Iterator

from vidda.experiment.config import SOURCE, TARGET, ExperimentConfig, Translated


def slug(name: str) -> str:
    """A name as part of a path."""
    return name.replace(" ", "_")


def problems(config: ExperimentConfig) -> list[str]:
    """Names that stand twice or for nothing, and weights without data, a line each."""
    return [*_clashes(config), *_variants(config), *_arms(config)]


def _clashes(config: ExperimentConfig) -> Iterator[str]:
    for key in ("tasks", "seeds"):
        values = getattr(config, key)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{key}: {value!r} stands twice"
    for key in ("recognizers", "variants", "personalize"):
        names = [slug(name) for name in getattr(config, key)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{key}: two names would both become the folder {name}"


def _variants(config: ExperimentConfig) -> Iterator[str]:
    for name, variant in config.variants.items():
        if name in (SOURCE, TARGET):
            yield f"variants.{name}: this name stands for the data itself; take another"
        if isinstance(variant, Translated):
            for wanted in variant.personalized:
                if wanted not in config.personalize:
                    yield f"variants.{name}.personalized: {wanted!r} is not in personalize"


def _arms(config: ExperimentConfig) -> Iterator[str]:
    known = (SOURCE, TARGET, *config.variants)
    for name, arm in config.arms.items():
        for part in arm.data:
            if part not in known:
                yield f"arms.{name}.data: {part!r} is not one of {', '.join(known)}"
        if arm.weights is not None and len(arm.weights) != len(arm.data):
            yield f"arms.{name}.weights: {len(arm.weights)} for {len(arm.data)} parts of data"
