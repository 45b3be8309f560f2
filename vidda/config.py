"""Configs: a pydantic base class, and loading from YAML with `key.sub=value` on the command line.

A discriminated union in a config is vidda's only registry. Every mistake of a config is reported at
once, by its dotted key, an unknown one with the nearest real name.
"""

import difflib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from ruamel.yaml import YAML

from vidda.errors import ConfigError as ConfigError
from vidda.errors import ViddaError
from vidda.files import file_name
from vidda.overrides import apply
from vidda.schema import describe, fitting_choice, models_at, tag
from vidda.yaml_data import read as read
from vidda.yaml_data import to_one_line

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""In bytes, the most that Linux accepts."""

MOST = {
    **dict.fromkeys(("workers", "jobs", "at_once"), 1024),
    "frames": 1_000_000,
    **dict.fromkeys(("size", "resolution", "tile"), 16_384),
    **dict.fromkeys(("syn_train", "syn_val", "real_train", "real_test"), 100_000),
    **dict.fromkeys(("columns", "crops", "accumulate", "repeats"), 10_000),
    **dict.fromkeys(("clips", "count", "limit", "copies", "batch_size"), 10_000_000),
    **dict.fromkeys(("steps", "epochs"), 1_000_000_000),
}
"""The most that a key of this name may be, far above what any machine holds or does."""


class Config(BaseModel):
    """Base of all configs: immutable, strict about keys and types, `~` in a path expanded.

    may_change: dotted keys that a resumed run may have other values of, since they decide how fast
    and where it runs, but not what comes out.
    """

    may_change: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _check(cls, value: Any, info: ValidationInfo) -> Any:
        most = MOST.get(info.field_name or "", math.inf)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and number > most:
                raise ValueError(f"{number} is more than {most:,}, which nothing here can be")
        return _expanded(value)


def _expanded(value: Any) -> Any:
    """Return paths with `~` expanded, in lists and mappings too; ValueError for what is no path."""
    if isinstance(value, tuple):
        return tuple(_expanded(one) for one in value)
    if isinstance(value, dict):
        return {name: _expanded(one) for name, one in value.items()}
    if not isinstance(value, Path):
        return value
    try:
        path = value.expanduser()
    except RuntimeError:
        raise ValueError(f"{str(value)!r:.60}: nobody here has this home folder") from None
    names = [os.fsencode(part) for part in path.parts]
    if any(len(name) > LONGEST_NAME for name in names) or len(os.fsencode(path)) > LONGEST_PATH:
        raise ValueError(
            f"{str(path)!r:.40}... is too long for a path: {LONGEST_NAME} bytes a name and"
            f" {LONGEST_PATH} in all are the most"
        )
    return path


C = TypeVar("C", bound=Config)


def changeable_keys(config: Config) -> set[str]:
    """Return the dotted keys, at any depth, whose values may differ in a resumed run."""
    found = set(config.may_change)
    for name, value in config:
        if isinstance(value, Config):
            found |= {f"{name}.{key}" for key in changeable_keys(value)}
    return found


def _file_name(name: str) -> str:
    try:
        return file_name(name)
    except ViddaError as error:
        raise ValueError(str(error)) from None


Count = Annotated[int, Field(ge=1)]
"""A number of things, of which there is at least one."""

Processes = Annotated[
    int, Field(ge=0, description="number of processes; 0 takes one for each core")
]
"""The key jobs of commands that work in parallel processes."""

FileName = Annotated[str, AfterValidator(_file_name)]
"""A key, or a value, that becomes the name of a file or folder."""


def load(schema: type[C], file: Path | None, *layers: Sequence[str]) -> C:
    """Return a validated config from a YAML file (optional) and layers of overrides over it.

    layers: each has `key.sub=value` texts that go over those of the layers before. Where one names
    another choice of a union, the keys that only the old choice has are dropped; see `overrides`.

    Values follow YAML 1.2 (`1e-4` is a number; `on` and `off` are text) and are never converted
    between types: `epochs: true` and `epochs: "3"` are mistakes. Raises ConfigError.
    """
    data = read(file) if file else {}
    problems = apply(schema, data, *layers)
    try:
        # Strict JSON refuses 1 for true and "3" for 3, yet takes text for paths, lists for tuples.
        config = schema.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problems += _explain(
            schema, data, error, file, [item for layer in layers for item in layer]
        )
    if problems:
        raise ConfigError(problems)
    return config


def dump(config: Config) -> str:
    """Return the fully resolved config as YAML, which `load` reads back to an equal one."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(config.model_dump(mode="json"), stream)
    return stream.getvalue()


def _explain(
    schema: type[BaseModel],
    data: Mapping[str, Any],
    error: ValidationError,
    file: Path | None,
    overrides: Sequence[str],
) -> list[str]:
    """Return one line for each mistake, starting with the file unless an override set that key."""
    overridden = [item.partition("=")[0] for item in overrides]
    lines: dict[str, list[str]] = {}
    for mistake in error.errors():
        loc = mistake["loc"]
        key = _dotted(data, loc, absent_last=mistake["type"] == "missing")
        below = key + "." if mistake["type"] in ("extra_forbidden", "union_tag_not_found") else "."
        if mistake["type"].startswith("union_tag_"):
            key += "." + mistake["ctx"]["discriminator"].strip("'")
        given = any(f"{key}.".startswith(f"{k}.") or k.startswith(below) for k in overridden)
        from_file = file and not given
        start = (f"{file}: " if from_file else "") + (f"{key}: " if key else "")
        lines.setdefault(start, []).append(_complaint(schema, key, loc, mistake))
    # A value that fits no branch of `int | str` has one complaint per branch under the same key.
    return [start + " and ".join(dict.fromkeys(texts)) for start, texts in lines.items()]


def _dotted(data: Any, loc: tuple[str | int, ...], absent_last: bool) -> str:
    """Return pydantic's location as the user wrote it: without what names a union's branch."""
    parts = []
    place = data
    for part in loc:
        try:
            place = place[part]
        except (LookupError, TypeError):
            continue
        parts.append(str(part))
    return ".".join([*parts, str(loc[-1])] if absent_last else parts)


WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text; put it in quotes",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


def _complaint(schema: type[BaseModel], key: str, loc: tuple[str | int, ...], mistake: Any) -> str:
    """Return what is wrong at `key` and how to fix it."""
    kind, value, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(schema, loc)
    if kind == "missing":
        return f"missing; give it in the file or as {key}=VALUE"
    if kind == "union_tag_not_found":
        models = models_at(schema, loc)
        choices = sorted(str(tag(model)[1]) for model in models)
        hint = f"missing; choose one of {', '.join(choices)}"
        if one := fitting_choice(models, value, None):
            hint += f"; only {tag(one)[1]} has {', '.join(value)}: add {key}={tag(one)[1]}"
        return hint
    if kind == "union_tag_invalid":
        near = difflib.get_close_matches(context["tag"], context["expected_tags"].split("'"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{context['tag']!r} is not one of {context['expected_tags']}{hint}"
    if kind == "value_error":
        return str(context["error"])
    if kind in WANTED:
        return f"{to_one_line(value)} is not {WANTED[kind]}"
    message = mistake["msg"]
    if message.startswith("Input "):
        return to_one_line(value) + message.removeprefix("Input")
    return f"{to_one_line(value)}: {message[0].lower()}{message[1:]}"


def _unknown_key(schema: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    models = models_at(schema, loc[:-1])
    known = sorted({key for model in models for key in model.model_fields})
    name = str(loc[-1])
    chosen = loc[-2] if len(loc) > 1 else None
    others = models_at(schema, loc[:-2]) if chosen == tag(models[0])[1] else []
    if having := [str(tag(model)[1]) for model in others if name in model.model_fields]:
        hint = f"take it out; known are {', '.join(known)}; it is a key of {', '.join(having)}"
        return f"{chosen} has no such key; {hint}"
    near = difflib.get_close_matches(name, known, n=1)
    elsewhere = [key.name for key in describe(schema) if key.name.rpartition(".")[2] == name]
    if near or elsewhere:
        return f"unknown key; did you mean {(elsewhere or near)[0]!r}?"
    return f"unknown key; known are {', '.join(known)}"
