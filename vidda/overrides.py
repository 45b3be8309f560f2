"""`key.sub=value` of the command line, set in the plain data of a config before it is validated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vidda import yaml_data
from vidda.errors import ConfigError
from vidda.schema import field_at, models_in, step_into, tag
from vidda.yaml_data import shown

Names = tuple[str, ...]


def apply(schema: type[BaseModel], data: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Set every override in `data`, in order; return the mistakes, a line each.

    `list.0.key=value` reaches into a list. What an override makes anew is filled with what stands
    there by default: after `sampling.frames=8` the rest is the default sampling's, unless another
    override names another. A mapping of names to files is the command line's alone as soon as that
    gives it a new name: `watch.real=FILE` leaves out what a config's file watches.
    """
    problems: list[str] = []
    pairs: list[tuple[Names, Any]] = []
    for item in overrides:
        try:
            pairs.append(_pair(item))
        except ConfigError as error:
            problems += error.problems
    for place in _replaced(schema, data, pairs):
        place.clear()
    made: set[Names] = set()
    for names, value in pairs:
        try:
            _set(schema, data, names, value, made)
        except ConfigError as error:
            problems += error.problems
    _fill([schema], None, data, made, ())
    return problems


def _pair(item: str) -> tuple[Names, Any]:
    key, equals, text = item.partition("=")
    names = tuple(key.split("."))
    if not equals or not all(names):
        raise ConfigError([f"{item!r}: an override is written key=value or key.sub=value"])
    return names, yaml_data.value(text, item) if text else ""


def _replaced(
    schema: type[BaseModel], data: dict[str, Any], pairs: Sequence[tuple[Names, Any]]
) -> list[dict[str, Any]]:
    """Return the mappings of names to files that an override gives a new name."""
    found = []
    for names, _ in pairs:
        place = _get(data, names[:-1])
        field = field_at(schema, data, names[:-1]) if isinstance(place, dict) else None
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


def _set(
    schema: type[BaseModel], data: dict[str, Any], names: Names, value: Any, made: set[Names]
) -> None:
    """Set one value. made: takes the names of the mappings that did not exist before."""
    place: Any = data
    for depth, name in enumerate(names[:-1], 1):
        if isinstance(place, list):
            place = place[_number(place, names, depth)]
        else:
            if name not in place:
                place[name] = _made(schema, data, names[:depth])
                made.add(names[:depth])
            place = place[name]
        if not isinstance(place, dict | list):
            key = ".".join(names)
            raise ConfigError([f"{key}: {name!r} is {shown(place)}, which has no keys"])
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
    field = field_at(schema, data, names)
    if field is None or step_into(field.annotation) != "[]":
        return {}
    default = _default(field) or ()
    return [one.model_dump(mode="json") if isinstance(one, BaseModel) else one for one in default]


def _fill(
    models: Sequence[type[BaseModel]], default: Any, data: Any, made: set[Names], names: Names
) -> None:
    """Fill what overrides have made with what stands there by default.

    models: what may stand at `names`, where `data` is. default: what does if nothing is said.
    """
    if not isinstance(data, dict) or not models:
        return
    if names in made and isinstance(default, BaseModel):
        key, chosen = tag(type(default))
        if data.get(key, chosen) == chosen:
            for name, value in default.model_dump(mode="json").items():
                data.setdefault(name, value)
            models = [type(default)]
    else:
        default = None
    chosen_models = [one for one in models if data.get(tag(one)[0]) == tag(one)[1]] or models
    for name, below in data.items():
        field = next((m.model_fields[name] for m in chosen_models if name in m.model_fields), None)
        if field is None or not models_in(field.annotation):
            continue
        inner = models_in(field.annotation)
        if step_into(field.annotation) == "":
            stands = getattr(default, name, None) if default else _default(field)
            _fill(inner, stands, below, made, (*names, name))
        elif isinstance(below, dict | list):
            for part, one in below.items() if isinstance(below, dict) else enumerate(below):
                _fill(inner, None, one, made, (*names, name, str(part)))


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)
