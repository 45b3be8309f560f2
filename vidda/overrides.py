"""`key.sub=value` of the command line, set in the plain data of a config before it is validated.

A mapping changes what is there by default, in a file as on the command line: what it leaves out
stays. One that names another choice of a union has that choice's own defaults. An override that
names another choice than the data do drops the keys of the old one, and keeps those that both have.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vidda import yaml_data
from vidda.errors import ConfigError
from vidda.schema import (
    default_of,
    find_field,
    fitting_choice,
    models_in,
    select_choices,
    step_into,
    tag,
)
from vidda.yaml_data import to_one_line

Names = tuple[str, ...]
Pair = tuple[Names, Any]


def apply(schema: type[BaseModel], data: dict[str, Any], *layers: Sequence[str]) -> list[str]:
    """Set every override in `data`, a later layer's over an earlier one's; return the mistakes.

    Within a layer order does not matter, but for two values of the same key, of which the last
    counts. `list.0.key=value` reaches into a list. What is left out is as it is by default: after
    `sampling.frames=8` the rest is the default sampling's. A mapping of names to files is the
    command line's alone as soon as that gives it a new name: `watch.real=FILE` leaves out what a
    config's file watches.
    """
    problems: list[str] = []
    parsed = [_pairs(layer, problems) for layer in layers]
    for place in _replaced(schema, data, [pair for pairs in parsed for pair in pairs]):
        place.clear()
    for pairs in parsed:
        _switch(schema, data, dict(pairs))
        for names, value in pairs:
            try:
                _set(schema, data, names, value)
            except ConfigError as error:
                problems += error.problems
    _fill([schema], None, data)
    return problems


def _pairs(overrides: Sequence[str], problems: list[str]) -> list[Pair]:
    """Return keys and values, each key before those below it, otherwise in order."""
    pairs: list[Pair] = []
    for item in overrides:
        try:
            names, value = _pair(item)
        except ConfigError as error:
            problems += error.problems
            continue
        below = (n for n, (other, _) in enumerate(pairs) if other[: len(names)] == names != other)
        pairs.insert(next(below, len(pairs)), (names, value))
    return pairs


def _pair(item: str) -> Pair:
    key, equals, text = item.partition("=")
    names = tuple(key.split("."))
    if not equals or not all(names):
        raise ConfigError([f"{item!r}: an override is written key=value or key.sub=value"])
    return names, yaml_data.value(text, item) if text else ""


def _replaced(
    schema: type[BaseModel], data: dict[str, Any], pairs: Sequence[Pair]
) -> list[dict[str, Any]]:
    """Return the mappings of names to files that an override gives a new name."""
    found = []
    for names, _ in pairs:
        place = _get(data, names[:-1])
        field = find_field(schema, data, names[:-1])[0] if isinstance(place, dict) else None
        if field and _holds_files(field) and names[-1] not in place:
            found.append(place)
    return found


def _holds_files(field: FieldInfo) -> bool:
    annotation = field.annotation
    return get_origin(annotation) is dict and get_args(annotation)[1] is Path


def _get(data: Any, names: Names) -> Any:
    """Return what is at dotted names, None where there is nothing."""
    for name in names:
        if isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            data = data.get(name) if isinstance(data, dict) else None
    return data


def _switch(schema: type[BaseModel], data: dict[str, Any], given: dict[Names, Any]) -> None:
    """Take out of `data` what belongs to choices for which overrides name another.

    given: the overrides, not set yet, so that their own keys stay.
    """
    for names in sorted(given, key=len):
        place = _get(data, names[:-1])
        field, models = find_field(schema, data, names[:-1])
        if not isinstance(place, dict) or len(models) < 2 or names[-1] != tag(models[0])[0]:
            continue
        old = select_choices(models, place, default_of(field) if field else None)
        new = [model for model in models if tag(model)[1] == given[names]]
        if new and new != old:
            for name in [name for name in place if _belongs(name, place[name], old, new[0])]:
                del place[name]
            place[names[-1]] = given[names]


def _belongs(name: str, value: Any, old: Sequence[type[BaseModel]], new: type[BaseModel]) -> bool:
    """Return whether a key is the old choice's alone: the new one lacks it, or refuses its value.

    What fits neither is a mistake, and stays to be reported.
    """
    if name == tag(new)[0] or not any(name in model.model_fields for model in old):
        return False
    if name not in new.model_fields:
        return True
    return not _fits(new, name, value) and any(_fits(model, name, value) for model in old)


def _fits(model: type[BaseModel], name: str, value: Any) -> bool:
    """Return whether a key of a model may have a value, whatever the others have."""
    try:
        model.model_validate_json(json.dumps({name: value}), strict=True)
    except ValidationError as error:
        return all(mistake["loc"][:1] != (name,) for mistake in error.errors())
    return True


def _set(schema: type[BaseModel], data: dict[str, Any], names: Names, value: Any) -> None:
    """Set one value, and the mappings and lists above it where there are none."""
    place: Any = data
    for depth, name in enumerate(names[:-1], 1):
        if isinstance(place, list):
            place = place[_number(place, names, depth)]
        else:
            if place.get(name) is None:
                place[name] = _made(schema, data, names[:depth])
            place = place[name]
        if not isinstance(place, dict | list):
            key = ".".join(names)
            raise ConfigError([f"{key}: {name!r} is {to_one_line(place)}, which has no keys"])
    if isinstance(place, list):
        place[_number(place, names, len(names))] = value
    else:
        place[names[-1]] = value


def _number(place: list[Any], names: Names, depth: int) -> int:
    """Return which item of a list a name stands for, a new one after the last; or ConfigError."""
    name, above = names[depth - 1], ".".join(names[: depth - 1])
    if name.isdecimal() and int(name) <= len(place):
        if int(name) == len(place):
            place.append({})
        return int(name)
    key, known = ".".join(names), f"{above!r} is a list of {len(place)}; its items are 0, 1, ..."
    raise ConfigError([f"{key}: {known}, not {name!r}"])


def _made(schema: type[BaseModel], data: dict[str, Any], names: Names) -> Any:
    """Return what overrides begin with at a key that is not there: a default list, or nothing."""
    field, _ = find_field(schema, data, names)
    if field is None or step_into(field.annotation) != "[]":
        return {}
    default = default_of(field) or ()
    return [one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in default]


def _fill(models: list[type[BaseModel]], default: Any, data: Any) -> None:
    """Fill every mapping with what is there by default, unless it names another choice.

    models: classes that `data` may be of. default: what is there if nothing is given.
    """
    if not isinstance(data, dict) or not models:
        return
    unnamed = len(models) > 1 and tag(models[0])[0] not in data
    if unnamed and fitting_choice(models, data, default):
        return  # validation asks for its name
    models = select_choices(models, data, default)
    if isinstance(default, BaseModel) and type(default) in models:
        for name, value in default.model_dump(mode="json").items():
            data.setdefault(name, value)
    else:
        default = None
    for name, below in data.items():
        field = next((m.model_fields[name] for m in models if name in m.model_fields), None)
        if field is None or not (inner := models_in(field.annotation)):
            continue
        if step_into(field.annotation) == "":
            _fill(inner, getattr(default, name) if default else default_of(field), below)
        elif isinstance(below, dict | list):
            for one in below.values() if isinstance(below, dict) else below:
                _fill(inner, None, one)
