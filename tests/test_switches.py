"""Every union of every command's config: naming another choice leaves a config that is valid."""

import json
import types
import typing
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ValidationError

from vidda.command import COMMANDS, schema_of
from vidda.overrides import apply
from vidda.schema import default_of, models_in, step_into, tag

Case = tuple[tuple[str, ...], dict[str, Any], type[BaseModel], list[type[BaseModel]]]
GIVEN = {"evaluate": {"model": "runs/x", "manifest": "x.csv"}}
"""Keys of commands that need one of several keys."""
ITEM = {"[]": ("0",), ".NAME": ("x",), "": ()}


def populated(model: type[BaseModel]) -> dict[str, Any]:
    """Every key of a model: its default, or the least that a required one may be."""
    return {
        name: sample(field.annotation)
        if field.is_required()
        else json.loads(json.dumps(default_of(field), default=plain))
        for name, field in model.model_fields.items()
    }


def plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def sample(annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return populated(annotation)
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return [sample(arguments[0])]
    if origin is dict:
        return {"x": sample(arguments[1])}
    if origin in (Annotated, typing.Union, types.UnionType):
        return sample(arguments[0])
    return {int: 1, float: 1.0, bool: True, str: "x", Path: "x", Any: {}}[annotation]


def places(model: type[BaseModel], whole: dict[str, Any], names: tuple[str, ...]) -> Iterator[Case]:
    """Every union below `names`, with a whole config in which a choice of it is populated.

    Yields the union's dotted key, that config, the choice in it, and all choices.
    """
    for name, field in model.model_fields.items():
        choices = models_in(field.annotation)
        for choice in choices:
            data = deepcopy(whole)
            step = ITEM[step_into(field.annotation)]
            value: Any = populated(choice)
            if step:
                value = {"x": value} if step == ("x",) else [value]
            at(data, names)[name] = value
            key = (*names, name, *step)
            if len(choices) > 1:
                yield key, data, choice, choices
            yield from places(choice, data, key)


def at(data: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        data = data[int(name) if isinstance(data, list) else name]
    return data


def mistakes(schema: type[BaseModel], data: dict[str, Any]) -> list[str]:
    try:
        schema.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        return [f"{mistake['loc']}: {mistake['msg']}" for mistake in error.errors()]
    return []


def required(key: str, new: type[BaseModel], old: type[BaseModel]) -> list[str]:
    """Overrides for what a choice needs and the one before lacks, or has of another type."""
    return [
        f"{key}.{name}={json.dumps(sample(field.annotation))}"
        for name, field in new.model_fields.items()
        if field.is_required()
        and (name not in old.model_fields or old.model_fields[name].annotation != field.annotation)
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_naming_another_choice_leaves_a_valid_config(command: str) -> None:
    schema = schema_of(command)
    whole = populated(schema) | GIVEN.get(command, {})
    for names, data, old, choices in places(schema, whole, ()):
        assert mistakes(schema, data) == []
        for new in choices:
            key, (name, value) = ".".join(names), tag(new)
            switch = [f"{key}.{name}={value}", *required(key, new, old)]
            first, second = deepcopy(data), deepcopy(data)
            assert apply(schema, first, switch) == apply(schema, second, switch[::-1]) == []
            assert mistakes(schema, first) == [], switch
            assert first == second
            before, after = at(data, names), at(first, names)
            assert after[name] == value and after.keys() <= new.model_fields.keys()
            for shared in before.keys() & new.model_fields.keys() - {name}:
                same = old.model_fields[shared].annotation == new.model_fields[shared].annotation
                assert after.get(shared) == before[shared] or not same, (switch, shared)


def test_there_are_unions_in_lists_and_in_mappings() -> None:
    found = {
        ".".join(names)
        for command in ("translate", "run")
        for names, *_ in places(schema_of(command), populated(schema_of(command)), ())
    }
    assert {"variants.x", "backbone.weights.loras.0.source", "control.pose.boxes"} <= found
