"""What a config class says about itself: its dotted keys, types, defaults and descriptions."""

import json
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a command's help.

    name: dotted, `[]` after a list and `.NAME` after a mapping. default: as YAML, or "required".
    """

    name: str
    type: str
    default: str
    description: str


def describe(schema: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    """Yield every key of a config class, nested ones included, in the order of its definition."""
    for name, field in schema.model_fields.items():
        yield from _describe_field(prefix + name, field)


def _describe_field(key: str, field: FieldInfo) -> Iterator[Key]:
    yield Key(key, _type_name(field.annotation), _default(field), field.description or "")
    below = key + step_into(field.annotation)
    models = models_in(field.annotation)
    for model in models:
        if len(models) > 1:
            first_line = (model.__doc__ or "").strip().partition("\n")[0]
            yield Key(key, _union_name(model), "", first_line)
        for inner in describe(model, below + "."):
            if len(models) == 1 or inner.name != f"{below}.{tag(model)[0]}":
                yield inner


def models_at(schema: type[BaseModel], loc: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """Return the classes that may stand at `loc`, a pydantic location (with indices and union
    tags).
    """
    models = [schema]
    for part in loc:
        below = [
            inner
            for model in models
            if (field := model.model_fields.get(str(part)))
            for inner in models_in(field.annotation)
        ]
        # A union's tag or a list's index names no field: stay, narrowed to the model with that tag.
        models = below or [m for m in models if tag(m)[1] == part] or models
    return models


def field_at(schema: type[BaseModel], data: Any, names: Sequence[str]) -> FieldInfo | None:
    """Return the field at dotted names of a config's data; None where there is none.

    An item of a list or a mapping has no field of its own.
    """
    models, field = [schema], None
    for name in names:
        if field is not None and step_into(field.annotation):
            field = None  # the name is an item's
        else:
            chosen = [
                m for m in models if isinstance(data, dict) and tag(m)[1] == data.get(tag(m)[0])
            ]
            fields = [m.model_fields[name] for m in chosen or models if name in m.model_fields]
            if not fields:
                return None
            field = fields[0]
            models = models_in(field.annotation)
        if isinstance(data, list):
            data = data[int(name)] if name.isdecimal() and int(name) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, dict) else None
    return field


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return every model class inside an annotation such as `Annotated[A | B, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in typing.get_args(annotation) for m in models_in(arg)]


def tag(model: type[BaseModel]) -> tuple[str, Any]:
    """Return a union member's tag, its first field with one possible value: (key, value) or ("",
    None).
    """
    for name, field in model.model_fields.items():
        values = typing.get_args(field.annotation)
        if typing.get_origin(field.annotation) is typing.Literal and len(values) == 1:
            return name, values[0]
    return "", None


def _union_name(model: type[BaseModel]) -> str:
    key, value = tag(model)
    return f"{key}: {value}" if key else "mapping"


def step_into(annotation: Any) -> str:
    """What stands between a key and the keys of the models inside its value."""
    origin = typing.get_origin(annotation)
    if origin in (list, tuple):
        return "[]"
    if origin is dict:
        return ".NAME"
    return next((step for arg in typing.get_args(annotation) if (step := step_into(arg))), "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        key, value = tag(default.__class__)
        return f"{key}: {value}" if key else ""
    return json.dumps(default, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _type_name(annotation: Any) -> str:
    if annotation is types.NoneType:
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _union_name(annotation)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type_name(args[0])
    if origin is typing.Literal:
        return " | ".join(str(value) for value in args)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type_name(arg) for arg in args)
    if origin is not None:
        inner = ", ".join("..." if arg is ... else _type_name(arg) for arg in args)
        return f"{origin.__name__}[{inner}]"
    return {Any: "any"}.get(annotation) or annotation.__name__
