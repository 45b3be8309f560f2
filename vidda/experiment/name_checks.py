"""Names in a job's config as folders, and checks: unknown references and duplicates."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from vidda.experiment.experiment_config import (
    SOURCE,
    TARGET,
    CameraMatchedVariant,
    DataConfig,
    ExperimentConfig,
    TranslatedVariant,
)

LONGEST_FOLDER = 100
"""Bytes of a folder's name that is made of several names."""


def slug(name: str) -> str:
    """Return a name as it appears in paths: spaces become underscores."""
    return name.replace(" ", "_")


def folder_name(name: str) -> str:
    """Return a name that is short enough for a folder; it stays the same up to 100 bytes.

    Of a longer one the end is replaced by a digest of the whole.
    """
    if len(name.encode()) <= LONGEST_FOLDER:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    kept = name.encode()[: LONGEST_FOLDER - len(digest) - 1].decode(errors="ignore")
    return f"{kept}-{digest}"


def name_problems(config: ExperimentConfig) -> list[str]:
    """Return a line for each duplicated or unknown name, and for weights that fit no data."""
    return [*data_name_problems(config, "recognizers"), *_arms(config)]


def data_name_problems(config: DataConfig, *keys: str) -> list[str]:
    """Return a line for each duplicated or unknown name in the keys of the data.

    keys: further keys whose names become folders.
    """
    return [*_clashes(config, *keys), *_personalize(config), *_variants(config)]


def _clashes(config: DataConfig, *keys: str) -> Iterator[str]:
    for key in ("tasks", "seeds"):
        values = getattr(config, key)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield f"{key}: {value!r} is duplicated"
    for key in (*keys, "variants", "personalize", "captions"):
        names = [slug(name) for name in getattr(config, key)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{key}: two names would both become the folder {name}; rename one"


def find_cycles(following: Mapping[str, str | None]) -> list[list[str]]:
    """Return the cycles of names that lead to themselves, each once.

    following: the name that each name leads to, None at the end of a chain.
    """
    cycles: list[list[str]] = []
    visited: set[str] = set()
    for name in following:
        path: list[str] = []
        reached: str | None = name
        while reached is not None and reached in following and reached not in visited:
            visited.add(reached)
            path.append(reached)
            reached = following[reached]
        if reached in path:
            cycles.append(path[path.index(reached) :])
    return cycles


def personalize_bases(config: DataConfig) -> dict[str, str | None]:
    """Return the key base of each personalization, by name."""
    return {name: recipe.base for name, recipe in config.personalize.items()}


def variant_origins(config: DataConfig) -> dict[str, str | None]:
    """Return the key of of each variant, by name."""
    return {name: variant.of for name, variant in config.variants.items()}


def _personalize(config: DataConfig) -> Iterator[str]:
    bases = personalize_bases(config)
    for name, base in bases.items():
        if base is not None and base not in bases:
            yield f"personalize.{name}.base: {base!r} is not in personalize"
    for cycle in find_cycles(bases):
        chain = " from ".join([*cycle, cycle[0]])
        yield f"personalize.{cycle[0]}.base: {chain} never starts; leave one base out"


def _variants(config: DataConfig) -> Iterator[str]:
    for name, variant in config.variants.items():
        if name in (SOURCE, TARGET):
            yield f"variants.{name}: this name is reserved for the data itself; choose another"
        if isinstance(variant, TranslatedVariant):
            for wanted in variant.personalized:
                if wanted not in config.personalize:
                    yield f"variants.{name}.personalized: {wanted!r} is not in personalize"
            if variant.captions is not None and variant.captions not in config.captions:
                yield f"variants.{name}.captions: {variant.captions!r} is not in captions"
        origin = config.variants.get(variant.of)
        if origin is None and variant.of != SOURCE:
            known = ", ".join((SOURCE, *config.variants))
            yield f"variants.{name}.of: {variant.of!r} is not one of {known}"
        if isinstance(variant, CameraMatchedVariant) and isinstance(origin, CameraMatchedVariant):
            yield f"variants.{name}.of: {variant.of!r} cannot be camera-matched"
    for cycle in find_cycles(variant_origins(config)):
        chain = " of ".join([*cycle, cycle[0]])
        yield f"variants.{cycle[0]}.of: {chain} never ends; let one be of source"


def _arms(config: ExperimentConfig) -> Iterator[str]:
    for name, recipe in config.recognizers.items():
        for wanted in recipe.arms or ():
            if wanted not in config.arms:
                yield f"recognizers.{name}.arms: {wanted!r} is not one of {', '.join(config.arms)}"
    for name, arm in config.arms.items():
        yield from unknown_data(config, f"arms.{name}.data", arm.data)
        if arm.weights is not None and len(arm.weights) != len(arm.data):
            yield f"arms.{name}.weights: {len(arm.weights)} for {len(arm.data)} parts of data"
        if arm.adapt is not None and TARGET in arm.data:
            yield f"arms.{name}.adapt: it is trained on the target's labels; leave adapt out"


def unknown_data(config: DataConfig, where: str, data: Sequence[str]) -> Iterator[str]:
    """Yield a line for each name of data that is neither source, target nor a variant.

    where: the key, for messages. data: the names.
    """
    known = (SOURCE, TARGET, *config.variants)
    for part in data:
        if part not in known:
            yield f"{where}: {part!r} is not one of {', '.join(known)}"
