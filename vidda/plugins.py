"""Choices that installed packages add to vidda's unions, through Python's entry points.

A package adds a choice by naming its config class, under a group, in its `pyproject.toml`:

    [project]
    name = "my-methods"
    version = "1.0"
    dependencies = ["vidda"]

    [project.entry-points."vidda.methods"]
    mine = "my_methods:MineConfig"

After `pip install`, `method.name=mine` works as vidda's own names do, and `vidda adapt --help`
lists its keys. docs/add_a_method.md, add_a_recognizer.md and add_a_dataset.md go through an example
each. The groups, and where what a config class has to offer is described:

    vidda.methods      `vidda.adapt.joint.MethodConfig`
    vidda.recognizers  `vidda.recognize.recognizer.RecognizerConfig`
    vidda.datasets     `vidda.data.listing.DatasetConfig`
    vidda.backbones    `vidda.translate.backbone.BackboneChoice`, of a `vidda.config.Config`

A config class derives from the one named there and has `name: Literal["mine"] = "mine"`, by which
it is chosen; its other fields are its keys, and its docstring's first paragraph, one sentence, is
its help. vidda reads it as the union is made, so its module imports at its top no module of vidda
that reads the union, such as `vidda.recognize.saved_recognizer`.
"""

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Union

from pydantic import Field

from vidda.config import Config
from vidda.errors import ViddaError
from vidda.schema import tag

TAG = "name"


def union(group: str, base: type[Config], *own: type[Config], protocol: type | None = None) -> Any:
    """Return the union of config classes that `name` tells apart, with those of installed packages.

    group: of entry points. base: what their config classes derive from. own: vidda's, whose names
    win. protocol: what config classes have to offer besides their base's abstract methods. A plugin
    that cannot be used is a line on stderr, and is left out.
    """
    kinds = (*own, *_installed(group, base, own, protocol))
    if len(kinds) == 1:
        return kinds[0]
    return Annotated[Union[kinds], Field(discriminator=TAG)]  # noqa: UP007


@cache
def _installed(
    group: str, base: type[Config], own: tuple[type[Config], ...], protocol: type | None
) -> tuple[type[Config], ...]:
    taken = {tag(kind)[1]: "vidda's own" for kind in own}
    found = []
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        try:
            kind = _load(point, base, protocol)
            name = tag(kind)[1]
            if name in taken:
                raise ViddaError(f"the name {name!r} is {taken[name]}; it needs another")
        # Whatever a stranger's module raises, or if it exits: it must not stop vidda.
        except (Exception, SystemExit) as error:
            kind_of = "" if isinstance(error, ViddaError) else f"{type(error).__name__}: "
            reason = " ".join(f"{kind_of}{error}".split())
            print(
                f"warning: plugin {point.name!r} of {group} is left out ({reason:.200});"
                " correct or uninstall it",
                file=sys.stderr,
            )
            continue
        taken[name] = f"that of plugin {point.name!r}"
        found.append(kind)
    return tuple(found)


def _load(point: EntryPoint, base: type[Config], protocol: type | None) -> type[Config]:
    """Return the config class that an entry point names; raises whatever is wrong with it."""
    kind = point.load()
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise ViddaError(f"{point.value} is no {base.__module__}.{base.__name__}")
    wanted = {*vars(protocol), *protocol.__annotations__} if protocol else set()
    public = {name for name in wanted if not name.startswith("_")}
    offered = {*dir(kind), *kind.model_fields} - kind.__abstractmethods__
    if lacking := sorted((public | kind.__abstractmethods__) - offered):
        raise ViddaError(f"{point.value} does not define {', '.join(lacking)}")
    kind.model_rebuild()
    key, value = tag(kind)
    if key != TAG or not isinstance(value, str):
        raise ViddaError(f'{point.value} has no `name: Literal["..."]` as its first choice')
    return kind
