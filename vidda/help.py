"""The help of a command: on one screen, with every key, or for one key alone."""

import difflib
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vidda.command import Command
from vidda.errors import ViddaError
from vidda.schema import Key

WIDTH = 100
"""Columns of a line."""
LEFT = 30
"""Columns of a key with its type and default; the description stands beside them."""
FLAGS = {
    "--dry-run": "check everything, print the plan, change nothing",
    "--resume": "continue where an earlier run stopped",
}
"""Flags that every command takes, with their descriptions."""


def command_help(name: str, command: Command, keys: Sequence[Key], *, every: bool = False) -> str:
    """Return a command's help: required keys, flags, then the other keys of the top level.

    keys: all of the command's, as `schema.describe` yields them. every: whether keys below those
    are listed too, and each description is in full.
    """
    top = [key for key in keys if len(key.path) == 1]
    required = [key for key in top if key.default == "required"]
    flags = [key for key in top if key.type == "bool" and key.default == "false"]
    others = [key for key in top if key not in required and (every or key not in flags)]
    bare = "".join(f" {key.upper()}" for key in command.positional)
    lines = [f"usage: vidda {name}{bare} [CONFIG.yaml] [key.sub=value ...] [--flag ...]"]
    lines += [*_wrapped(command.help), "", *command.more, *([""] if command.more else [])]
    lines += _section("required:", required, keys, every)
    lines += ["flags:"]
    for flag, text in {**{_switch(key): key.description for key in flags}, **FLAGS}.items():
        lines += _beside(flag, _opening(flag, text))
    lines += [""]
    lines += _section("keys:", others, keys, every)
    if top and not every:
        lines += _wrapped(
            f"every key: vidda {name} --help-all; one key and those below it: vidda help {name} KEY"
        )
    if every:
        lines += _legend("\n".join(lines))
    return "\n".join(lines).rstrip()


def key_help(written: str, commands: Mapping[str, Sequence[Key]]) -> str:
    """Return the help of one key: in full, with the keys or choices right below it.

    written: see `find`. commands: the keys of each command where it is looked for, by its name;
    those where it is the same are named together. Raises ViddaError, with the nearest real key,
    where none has it.
    """
    owners: dict[str, list[str]] = {}
    example = ""
    for name, keys in commands.items():
        found = find(written, keys)
        for text in _meanings(found, keys):
            owners.setdefault(text, []).append(name)
        choices = (one for _, below in found for one in below if "=" in one.path[-1])
        example = example or next((f"{name} {_spoken(one)}" for one in choices), "")
    if not owners:
        raise ViddaError(_unknown(written, commands))
    texts = []
    for text, names in owners.items():
        where = _wrapped(f"vidda {', '.join(names)}:") if len(commands) > 1 else []
        texts.append("\n".join([*where, text]))
    more = [f"keys of a choice: vidda help {example}"] if example else []
    return "\n\n".join([*texts, *more, *_legend("".join(texts))])


def find(written: str, keys: Sequence[Key]) -> list[tuple[Key, list[Key]]]:
    """Return each key that is meant, with the keys or choices right below it.

    written: dotted, as on the command line (`stages.0.width`), or with `[]` and NAME as in a help.
    keys: all of a command's. A choice is `method.coral` or `method.name=coral`; the keys below it
    are found with and without it, so that one name may mean several keys. Those returned are
    spelled as written.
    """
    names = written.replace("[]", ".[]").split(".")
    found = []
    for key in keys:
        path = _as_written(names, key)
        if path:
            below = [replace(one, path=path + one.path[len(path) :]) for one in _below(key, keys)]
            found.append((replace(key, path=path[: len(key.path)]), below))
    if found or len(names) == 1:
        return found
    # `method.name` chooses among what `method` lists.
    above = find(written.rpartition(".")[0], keys)
    return [one for one in above if any(b.path[-1].startswith(f"{names[-1]}=") for b in one[1])]


def _as_written(names: Sequence[str], key: Key) -> tuple[str, ...] | None:
    """Return a key's path, spelled as `names` are, if they mean this key or an item of it."""
    path: tuple[str, ...] = ()
    waiting = list(names)
    for part in key.path:
        _, choice, value = part.partition("=")
        if waiting and (waiting[0] == part or (choice and waiting[0] == value)):
            path += (part,)
            del waiting[0]
        elif waiting and _stands_for(part, waiting[0]):
            path += (waiting.pop(0),)
        elif choice and len(path) + 1 < len(key.path):
            path += (part,)
        else:
            return None
    if not waiting:
        return path
    # The config class says nothing of what is below any value, so all names there mean this key.
    last = len(waiting) == 1 or "NAME: any" in key.type
    return (*path, waiting[0]) if last and _stands_for(key.step, waiting[0]) else None


def _stands_for(part: str, written: str) -> bool:
    """Return whether a name that is written is an index of a list or a name of a mapping."""
    return part == "NAME" or (part == "[]" and (written == "[]" or written.isdecimal()))


def _below(key: Key, keys: Sequence[Key]) -> list[Key]:
    """Return the keys right below one, or its choices; an index or NAME between does not count."""
    start = (*key.path, key.step) if key.step else key.path
    return [k for k in keys if k.path[: len(start)] == start and len(k.path) == len(start) + 1]


def _meanings(found: Sequence[tuple[Key, list[Key]]], keys: Sequence[Key]) -> list[str]:
    """Return the help of what `find` found, each text once, with the choices that it belongs to."""
    choices: dict[tuple[str, str], list[str]] = {}
    for key, below in found:
        head = "\n".join(_in_full([key]))
        tail = "\n".join(line for one in below for line in _item(one, keys, one.description))
        above = [replace(key, path=key.path[:n]) for n in range(1, len(key.path))]
        chosen = " ".join(one.name for one in above if "=" in one.path[-1])
        choices.setdefault((head, tail), []).append(chosen)
    texts = []
    for (head, tail), places in choices.items():
        if any(places):
            head = "\n".join([head, *_wrapped(f"with {', or '.join(places)}", "      ")])
        texts.append(f"{head}\n\n{tail}" if tail else head)
    return texts


def _unknown(written: str, commands: Mapping[str, Sequence[Key]]) -> str:
    """Return what is wrong with a key that no command has, and the nearest real ones."""
    names = list(dict.fromkeys(_spoken(key) for keys in commands.values() for key in keys))
    last = written.rpartition(".")[2]
    same = [name for name in names if name.rpartition(".")[2] == last]
    near = difflib.get_close_matches(written, same, n=3, cutoff=0)
    near = near or difflib.get_close_matches(written, [*commands, *names], n=1)
    if len(commands) == 1:
        (command,) = commands
        problem, see = f"vidda {command} has no key {written!r}", f"vidda {command} --help"
    else:
        problem, see = f"{written!r} is neither a command nor a key", "vidda --help"
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"see {see}"
    return f"{problem}; {hint}"


def _spoken(key: Key) -> str:
    """Return a key's name, a choice as `method.coral`."""
    return re.sub(r"\w+=", "", key.name)


def _legend(text: str) -> list[str]:
    """Return what `[]` and NAME stand for, if a help has them."""
    kinds = {"[].": "[] is .0, .1, ...", ".NAME": "NAME is a name of your own"}
    notes = [kind for sign, kind in kinds.items() if sign in text]
    return ["; ".join(notes)] if notes else []


def _section(title: str, top: Sequence[Key], keys: Sequence[Key], every: bool) -> list[str]:
    """Return a title and keys of the top level, with all below them or with what fits on a line."""
    if not top:
        return []
    if every:
        names = {key.path[0] for key in top}
        return [title, *_in_full(key for key in keys if key.path[0] in names), ""]
    lines = [title]
    for key in top:
        lines += _item(key, keys, _opening(_label(key), key.description))
    return [*lines, ""]


def _item(key: Key, keys: Sequence[Key], description: str) -> list[str]:
    """Return a key beside a description, a mapping's folded to the names of its keys."""
    names = [one.path[-1] for one in _below(key, keys)]
    if not names or "=" in names[0] + key.path[-1]:
        return _beside(_label(key), description)
    text = f"{_label(key):<{LEFT}}  {description}; keys: {', '.join(names)}"
    return _wrapped(text, "  ", "      ")


def _in_full(keys: Iterable[Key]) -> list[str]:
    """Return lines of each key, and of its whole description below it."""
    lines = []
    for key in keys:
        lines += _wrapped(_label(key), "  ", "      ")
        lines += _wrapped(key.description, "      ")
    return lines


def _opening(label: str, text: str) -> str:
    """Return as much of a description as fits beside its key without taking one line more."""
    first = text.split("; ")[0]
    lines = len(_beside(label, first.split(", ")[0]))
    whole, comma = (text, "; ") if len(_beside(label, first)) == lines else (first, ", ")
    parts = whole.split(comma)
    while len(_beside(label, comma.join(parts))) > lines:
        parts.pop()
    return comma.join(parts)


def _label(key: Key) -> str:
    about = ", ".join(text for text in (key.type, key.default) if text)
    return f"{key.name}  ({about})" if about else key.name


def _switch(key: Key) -> str:
    return f"--{key.name.replace('_', '-')}"


def _beside(label: str, text: str) -> list[str]:
    """Return a label and, beside it, a text; what does not fit continues below it."""
    indent = LEFT + 4 if len(label) <= LEFT else 6
    return _wrapped(f"{label:<{LEFT}}  {text}", "  ", " " * indent)


def _wrapped(text: str, indent: str = "", below: str | None = None) -> list[str]:
    """Return a text as lines of at most WIDTH columns. below: the indent of all but the first."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if below is None else below,
        break_long_words=False,
        break_on_hyphens=False,
    )
