"""Configs: a pydantic base class, and loading from YAML with `key.sub=value` on the command line.

A discriminated union in a config is vidda's only registry. Every mistake of a config is reported at
once, by its dotted key, an unknown one with the nearest real name.
"""

import difflib
import io
import json
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vidda.errors import ViddaError


class Config(BaseModel):
    """Base of all configs: immutable, and strict about unknown keys and types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


C = TypeVar("C", bound=Config)


class ConfigError(ViddaError):
    """Every mistake of one config, a line each, in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load(schema: type[C], file: Path | None, overrides: Sequence[str] = ()) -> C:
    """A validated config from a YAML file (optional) and `key.sub=value` overrides, in that order.

    Values follow YAML 1.2 (`1e-4` is a number; `on` and `off` are text) and are never converted
    between types: `epochs: true` and `epochs: "3"` are mistakes. Raises ConfigError.
    """
    data = _read(file) if file else {}
    origin = f"{file}: " if file else ""
    problems = [p for p in (_override(data, item) for item in overrides) if p]
    try:
        # Strict JSON mode refuses 1 for true and "3" for 3, yet takes text for paths and lists for tuples.
        config = schema.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        problems += [origin + _explain(schema, e) for e in error.errors()]
    if problems:
        raise ConfigError(problems)
    return config


def dump(config: Config) -> str:
    """The fully resolved config as YAML, which `load` reads back to an equal one."""
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(config.model_dump(mode="json"), stream)
    return stream.getvalue()


def describe(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """(dotted key, type, default, description) of every field, nested ones included."""
    for name, field in schema.model_fields.items():
        key = prefix + name
        nested = _models(field.annotation)
        required = field.default is PydanticUndefined and field.default_factory is None
        default = field.get_default(call_default_factory=True)
        if nested:
            choice = " | ".join(m.__name__ for m in nested)
            yield key, choice, "required" if required else "", field.description or ""
            for model in nested:
                yield from describe(model, key + ".")
        else:
            shown = "required" if required else json.dumps(default, default=str)
            yield key, _type_name(field.annotation), shown, field.description or ""


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: cannot be read as a config: {error}"]) from None
    data = _parse(text, str(file))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError([f"{file}: a config is a mapping of keys to values, not {data!r:.40}"])
    return data


def _parse(text: str, origin: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError([f"{origin}{line}: not valid YAML: {what}"]) from None


def _override(data: dict[str, Any], item: str) -> str | None:
    """Set one `key.sub=value` in `data`; the mistake as text, or None."""
    key, equals, text = item.partition("=")
    names = key.split(".")
    if not equals or not all(names):
        return f"{item!r}: an override is written key=value or key.sub=value"
    place = data
    for name in names[:-1]:
        below = place.get(name)
        if below is None:
            below = place[name] = {}
        if not isinstance(below, dict):
            return f"{key}: {name!r} is {below!r}, which has no keys"
        place = below
    place[names[-1]] = _parse(text, key) if text else ""
    return None


def _explain(schema: type[BaseModel], error: Any) -> str:
    """One line for one pydantic error."""
    loc = error["loc"]
    key = ".".join(str(part) for part in loc) or "config"
    kind = error["type"]
    if kind == "extra_forbidden":
        known = sorted(_keys_at(schema, loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"{key}: unknown key; {remedy}"
    if kind == "missing":
        return f"{key}: missing; give it in the file or as {key}=VALUE"
    message = error["msg"].removeprefix("Value error, ")
    if kind in ("union_tag_invalid", "union_tag_not_found", "value_error"):
        return f"{key}: {message}"
    return f"{key}: {error['input']!r:.60}: {message[0].lower()}{message[1:]}"


def _keys_at(schema: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """The keys that may stand at `loc`, a pydantic location (list indices and union tags included)."""
    models = [schema]
    for part in loc:
        below = [m for model in models for m in _field_models(model, part)]
        # A union's tag or a list's index names no field: stay, narrowed to the models that carry it.
        tagged = [m for m in models if part in _tags(m)]
        models = below or tagged or models
    return {name for model in models for name in model.model_fields}


def _field_models(model: type[BaseModel], name: str | int) -> list[type[BaseModel]]:
    field = model.model_fields.get(str(name))
    return _models(field.annotation) if field else []


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Every model class inside an annotation such as `Annotated[A | B, ...] | None` or `list[A]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in typing.get_args(annotation) for m in _models(arg)]


def _tags(model: type[BaseModel]) -> set[Any]:
    """The values of the model's Literal fields: one of them is its tag in a union."""
    return {
        value
        for field in model.model_fields.values()
        if typing.get_origin(field.annotation) is typing.Literal
        for value in typing.get_args(field.annotation)
    }


def _type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    if origin is typing.Literal:
        return "|".join(str(a) for a in args)
    if origin in (typing.Union, types.UnionType):
        return "|".join(_type_name(a) for a in args)
    if origin is Annotated:
        return _type_name(args[0])
    if origin is not None:
        return f"{origin.__name__}[{', '.join(_type_name(a) for a in args if a is not ...)}]"
    return "none" if annotation is types.NoneType else getattr(annotation, "__name__", str(annotation))
