"""Print constraints.txt: the installed versions of all packages that vidda and its extras need.

Maintainers: .venv/bin/python tools/constraints.py > constraints.txt
"""

from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Installed without their requirements by tools/venv.sh.
ALONE = ("mmengine", "mmcv-lite", "mmpose")
EXTRAS = ("export", "pose", "test")


def needed(name: str, extras: tuple[str, ...], found: dict[str, str]) -> None:
    """Add to `found` the version of every installed package that `name` requires, at any depth."""
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        key = canonicalize_name(requirement.name)
        if key not in found or requirement.extras:
            known = key in found
            found[key] = metadata.version(requirement.name)
            if not known or requirement.extras:
                needed(requirement.name, tuple(sorted(requirement.extras)), found)


def main() -> None:
    found = {name: metadata.version(name) for name in ALONE}
    needed("vidda", EXTRAS, found)
    found.pop("vidda", None)  # one extra may name another
    print("# Made by tools/constraints.py. Versions that were seen to work together.")
    for name, version in sorted(found.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
