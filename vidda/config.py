"""Configs: a pydantic base class, and loading from YAML with `key.sub=value` on the command line.

A discriminated union in a config is vidda's only registry. Every mistake of a config is reported at
once, by its dotted key, an unknown one with the nearest real name.
"""

import difflib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from vidda.errors import ViddaError
from vidda.files import file_name
from vidda.schema import describe, models_at, tag


class Config(BaseModel):
    """Base of all configs: immutable, strict about keys and types, `~` in a path expanded.

    may_change: dotted keys that a resumed run may have other values of, since they decide how fast
    and where it runs, but not what comes out.
    """

    may_change: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: Any) -> Any:
        return value.expanduser() if isinstance(value, Path) else value


C = TypeVar("C", bound=Config)


def _file_name(name: str) -> str:
    try:
        return file_name(name)
    except ViddaError as error:
        raise ValueError(str(error)) from None


FileName = Annotated[str, AfterValidator(_file_name)]
"""A key, or a value, that becomes the name of a file or folder."""


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
    data = read(file) if file else {}
    problems: list[str] = []
    for item in overrides:
        try:
            _override(data, item)
        except ConfigError as error:
            problems += error.problems
    try:
        # Strict JSON refuses 1 for true and "3" for 3, yet takes text for paths, lists for tuples.
        config = schema.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problems += _explain(schema, data, error, file, overrides)
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


def read(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file, not validated; an empty file is an empty mapping."""
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
        # Through JSON, so that only its types remain: a date is text, a key is text.
        return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))
    except (ValueError, TypeError) as error:
        raise ConfigError([f"{origin}: YAML that is not plain data: {error}"]) from None
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = f":{mark.line + 1}" if mark and "\n" in text else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError([f"{origin}{line}: not valid YAML: {what}"]) from None


def _override(data: dict[str, Any], item: str) -> None:
    """Set one `key.sub=value` in `data`."""
    key, equals, text = item.partition("=")
    names = key.split(".")
    if not equals or not all(names):
        raise ConfigError([f"{item!r}: an override is written key=value or key.sub=value"])
    place = data
    for name in names[:-1]:
        below = place.setdefault(name, {})
        if not isinstance(below, dict):
            raise ConfigError([f"{key}: {name!r} is {_shown(below)}, which has no keys"])
        place = below
    place[names[-1]] = _parse(text, item) if text else ""


def _explain(
    schema: type[BaseModel],
    data: Mapping[str, Any],
    error: ValidationError,
    file: Path | None,
    overrides: Sequence[str],
) -> list[str]:
    """One line for each mistake, opening with the file unless an override set that key."""
    overridden = [item.partition("=")[0] for item in overrides]
    lines: dict[str, list[str]] = {}
    for mistake in error.errors():
        loc = mistake["loc"]
        key = _dotted(data, loc, absent_last=mistake["type"] == "missing")
        if mistake["type"].startswith("union_tag_"):
            key += "." + mistake["ctx"]["discriminator"].strip("'")
        from_file = file and not any(key == k or key.startswith(k + ".") for k in overridden)
        start = (f"{file}: " if from_file else "") + (f"{key}: " if key else "")
        lines.setdefault(start, []).append(_complaint(schema, key, loc, mistake))
    # A value that fits no branch of `int | str` has one complaint per branch under the same key.
    return [start + " and ".join(dict.fromkeys(texts)) for start, texts in lines.items()]


def _dotted(data: Any, loc: tuple[str | int, ...], absent_last: bool) -> str:
    """pydantic's location as the user wrote it: without what only names a union's branch."""
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
    """What is wrong at `key` and how to mend it."""
    kind, value, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(schema, loc)
    if kind == "missing":
        return f"missing; give it in the file or as {key}=VALUE"
    if kind == "union_tag_not_found":
        choices = sorted(str(tag(model)[1]) for model in models_at(schema, loc))
        return f"missing; choose one of {', '.join(choices)}"
    if kind == "union_tag_invalid":
        near = difflib.get_close_matches(context["tag"], context["expected_tags"].split("'"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{context['tag']!r} is not one of {context['expected_tags']}{hint}"
    if kind == "value_error":
        return str(context["error"])
    if kind in WANTED:
        return f"{_shown(value)} is not {WANTED[kind]}"
    message = mistake["msg"]
    if message.startswith("Input "):
        return _shown(value) + message.removeprefix("Input")
    return f"{_shown(value)}: {message[0].lower()}{message[1:]}"


def _unknown_key(schema: type[BaseModel], loc: tuple[str | int, ...]) -> str:
    models = models_at(schema, loc[:-1])
    known = sorted({key for model in models for key in model.model_fields})
    name = str(loc[-1])
    chosen = loc[-2] if len(loc) > 1 else None
    others = models_at(schema, loc[:-2]) if chosen == tag(models[0])[1] else []
    if any(name in model.model_fields for model in others):
        return f"{chosen} has no such key; take it out; known are {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=1)
    elsewhere = [key.name for key in describe(schema) if key.name.rpartition(".")[2] == name]
    if near or elsewhere:
        return f"unknown key; did you mean {(near or elsewhere)[0]!r}?"
    return f"unknown key; known are {', '.join(known)}"


def _shown(value: Any) -> str:
    """A value as it would stand in YAML, on one line, cut short."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
