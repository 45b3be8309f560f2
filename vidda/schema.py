"""Descriptions of config classes: their dotted keys, types, defaults and descriptions."""

import json
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a config class, or one choice of a key.

    path: names from the top. `[]` stands for an index of a list and NAME for a name of a mapping;
    `name=coral` is a choice, which the names after it belong to.
    type: as YAML writes it, "" for a choice. default: as YAML, "required", or "" where keys below
    have their own. step: `[]` or NAME, by which a path names an item of the value; "" where
    it has none.
    """

    path: tuple[str, ...]
    type: str
    default: str
    description: str
    step: str = ""

    @property
    def name(self) -> str:
        """Return the dotted key as a command line writes it, without the choices above it."""
        *above, last = self.path
        names = [part for part in above if "=" not in part]
        return ".".join([*names, last]).replace(".[]", "[]")


def describe(
    schema: type[BaseModel], above: tuple[str, ...] = (), default: BaseModel | None = None
) -> Iterator[Key]:
    """Yield every key of a config class with those below it; at each level required ones first.

    above: path of the key whose value is of this class. default: its default value, if it is of
    this class; its values are then the defaults, and not the class's own.
    """
    values = {
        name: getattr(default, name) if default else field.get_default(call_default_factory=True)
        for name, field in schema.model_fields.items()
    }
    for name in sorted(values, key=lambda name: values[name] is not PydanticUndefined):
        yield from _describe_field((*above, name), schema.model_fields[name], values[name])


def _describe_field(path: tuple[str, ...], field: FieldInfo, default: Any) -> Iterator[Key]:
    step = step_into(field.annotation).removeprefix(".")
    kind, description = _type_name(field.annotation), field.description or ""
    yield Key(path, kind, _default_text(default), description, step)
    models = models_in(field.annotation)
    for model in models:
        below = (*path, step) if step else path
        key, value = tag(model)
        if len(models) > 1:
            below = (*below, f"{key}={value}")
            summary = " ".join((model.__doc__ or "").partition("\n\n")[0].split())
            yield Key(below, "", "", summary)
        for inner in describe(model, below, default if type(default) is model else None):
            if len(models) == 1 or inner.path != (*below, key):
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


def find_field(
    schema: type[BaseModel], data: Any, names: Sequence[str]
) -> tuple[FieldInfo | None, list[type[BaseModel]]]:
    """Return the field that a dotted key names in a config, and the config classes it may hold.

    schema: the config's class. data: the config's values as plain data, by which unions on the way
    are narrowed (`select_choices`). names: the key, split at its dots. An item of a list or a
    mapping has no field of its own, only classes. Where the config has no such key, both are empty.
    """
    field: FieldInfo | None = None
    models, default = [schema], None
    for name in names:
        if field is not None and step_into(field.annotation):
            field, default = None, None  # the name is an item's
        else:
            named = [m for m in select_choices(models, data, default) if name in m.model_fields]
            if not named:
                return None, []
            field = named[0].model_fields[name]
            models, default = models_in(field.annotation), default_of(field)
        if isinstance(data, list):
            data = data[int(name)] if name.isdecimal() and int(name) < len(data) else None
        else:
            data = data.get(name) if isinstance(data, dict) else None
    return field, models


def select_choices(models: list[type[BaseModel]], data: Any, default: Any) -> list[type[BaseModel]]:
    """Return the choice of a union that its data name by their tag, or else the default one.

    models: the union's classes. data: as in the YAML file. default: the field's default, or None.
    Data with an unknown tag, or without any where there is no default, leave all of `models`.
    """
    if not isinstance(data, dict) or not any(tag(model)[0] in data for model in models):
        return [model for model in models if type(default) is model] or models
    return [model for model in models if data.get(tag(model)[0]) == tag(model)[1]] or models


def fitting_choice(
    models: list[type[BaseModel]], data: Any, default: Any
) -> type[BaseModel] | None:
    """Return the one choice of a union that has all keys of its data, where the default has not.

    models: the union's classes. data: as in the YAML file. default: the field's default, or None.
    Returns None where the default has all keys, and where no choice or several fit.
    """
    own = type(default).model_fields if isinstance(default, BaseModel) else {}
    if not isinstance(data, dict) or data.keys() <= own.keys():
        return None
    fitting = [model for model in models if data.keys() <= model.model_fields.keys()]
    return fitting[0] if len(fitting) == 1 else None


def default_of(field: FieldInfo) -> Any:
    """Return a field's default value; None for a required field."""
    return None if field.is_required() else field.get_default(call_default_factory=True)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return every model class inside an annotation such as `Annotated[A | B, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in typing.get_args(annotation) for m in models_in(arg)]


def tag(model: type[BaseModel]) -> tuple[str, Any]:
    """Return the tag of a choice of a union, as (key, value); ("", None) where it has none.

    The tag is the class's first field that has one possible value, such as name: coral.
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
    """Return what a help puts between a key and the keys below it.

    annotation: the key's type. "[]" for a list, ".NAME" for a mapping, else "".
    """
    origin = typing.get_origin(annotation)
    if origin in (list, tuple):
        return "[]"
    if origin is dict:
        return ".NAME"
    return next((step for arg in typing.get_args(annotation) if (step := step_into(arg))), "")


def _default_text(default: Any) -> str:
    """Return a default as YAML, "required" where there is none."""
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        key, value = tag(default.__class__)
        return f"{key}: {value}" if key else ""
    return json.dumps(default, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _type_name(annotation: Any) -> str:
    """Return a type as YAML writes its values: `[int, int]`, `{NAME: Path, ...}`, `name: a | b`."""
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
        names = [_type_name(arg) for arg in args]
        same = "name: " if names[0].startswith("name: ") else ""
        return same + " | ".join(name.removeprefix(same) for name in names)
    inner = ["..." if arg is ... else _type_name(arg) for arg in args]
    if origin is dict:
        return f"{{NAME: {inner[1]}, ...}}"
    if origin is not None:
        return f"[{', '.join(inner)}]"
    return {Any: "any"}.get(annotation) or annotation.__name__
