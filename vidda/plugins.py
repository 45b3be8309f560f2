"""What installed packages add to vidda, through Python's entry points."""

import sys
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, Union

from pydantic import Field

from vidda.config import Config


def union(group: str, *own: type[Config]) -> Any:
    """Return the union of config classes that `name` tells apart, with those of installed packages.

    group: of entry points, each of which names a config class with a `name` of its own; vidda's
    own names win. A plugin that cannot be used is a line on stderr, and is left out.
    """
    names = {_name(kind) for kind in own}
    added = [kind for kind in _installed(group) if _name(kind) not in names]
    kinds = (*own, *added)
    if len(kinds) == 1:
        return kinds[0]
    return Annotated[Union[kinds], Field(discriminator="name")]  # noqa: UP007


@cache
def _installed(group: str) -> tuple[type[Config], ...]:
    found: dict[str, type[Config]] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            kind = point.load()
            if not (isinstance(kind, type) and issubclass(kind, Config)):
                raise TypeError(f"{point.value} is no config class of vidda")
            found.setdefault(_name(kind), kind)
        except Exception as error:  # whatever a stranger's module raises must not stop vidda
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(
                f"warning: plugin {point.name!r} of {group} is left out ({reason:.200});"
                " correct or uninstall it",
                file=sys.stderr,
            )
    return tuple(found.values())


def _name(kind: type[Config]) -> str:
    """Return the value of a config's `name`, by which a union tells it."""
    name = kind.model_fields["name"].default
    if not isinstance(name, str):
        raise TypeError(f"{kind.__name__}.name has no default to tell it by")
    return name
