"""YAML read as plain data: the types of JSON, within bounds that no config comes near."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node

from vidda.errors import ConfigError

LARGEST = 10_000_000
"""Most values and characters of a document, with every alias counted in full."""
DEEPEST = 50
"""Most lists and mappings inside one another."""
WIDEST = 2**63
"""Whole numbers are below it, and not below its negative."""
LONGEST_NUMBER = 100
"""Most characters of a whole number, far above what `WIDEST` needs in any base."""

# Texts that may be a number, true, false or null; a date is text.
_SCALAR = re.compile(r"(?!\d+-)[.+-]*\w[\w.+-]*|~", re.ASCII)
# NUL, and how Python shows what is not UTF-8 in an argument.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# Stands for `#` while a value of the command line is read, where nothing is a comment.
_HASH = "\ue000"
_NOT_YAML = "not valid YAML"


def read(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, not validated; an empty file gives an empty mapping.

    Raises ConfigError where the file cannot be read, is no valid YAML, or holds no mapping.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError([f"{file}: cannot be read as a config: {error}"]) from None
    data = parse(text, str(file))
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError([f"{file}: a config is a mapping of keys to values, not {data!r:.40}"])
    return data


def value(text: str, item: str) -> Any:
    """Parse a value of the command line: number, true, false, null, list, mapping or text.

    `[...]`, `{...}` and quoted text are parsed as YAML, but `#` begins no comment. Everything else
    is text, whatever it would mean in a YAML file. item: the argument, for messages. Raises
    ConfigError.
    """
    item, bare = item[:60], text.strip()
    if bare[:1] in ("[", "{"):
        return _flow(bare, item)
    if len(bare) > 1 and bare[0] in "\"'" and bare[-1] == bare[0]:
        return _quoted(bare, item)
    if _SCALAR.fullmatch(bare):
        found = parse(bare, item)
        if isinstance(found, bool | int | float) or bare in ("~", "null", "Null", "NULL"):
            return found
    return text


def parse(text: str, origin: str) -> Any:
    """Parse a YAML text as plain data: a date is text, and so is every key.

    origin: the file or argument that holds the text, for messages. Raises ConfigError.
    """
    try:
        constructor, parser = YAML(typ="safe", pure=True).get_constructor_parser(text)
        try:
            node = constructor.composer.get_single_node()
            if node is None:
                return None
            if (size := _size(node, {})) > LARGEST:
                raise ValueError(f"its aliases stand for {size:,} values and characters")
            # Through JSON, so that only its types remain.
            data = json.loads(json.dumps(constructor.construct_document(node), default=str))
        finally:
            parser.dispose()
    except RecursionError:
        raise ConfigError([f"{origin}: nested more than {DEEPEST} deep"]) from None
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
        raise ConfigError([f"{origin}: YAML that is not plain data: {error}"]) from None
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = f":{mark.line + 1}" if mark and "\n" in text else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError([f"{origin}{line}: {_NOT_YAML}: {what}"]) from None
    return _checked(data, origin)


def to_one_line(data: Any) -> str:
    """Return a value as one line for a message, cut to 60 characters.

    data: as read from YAML.
    """
    text = json.dumps(data, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _flow(text: str, item: str) -> Any:
    try:
        data = parse(text.replace("#", _HASH), item)
    except ConfigError as error:
        problem = error.problems[0].replace(_HASH, "#")
        hint = "; put text that begins with a bracket in quotes, '\"[...\"'"
        raise ConfigError([problem + (hint if _NOT_YAML in problem else "")]) from None
    return json.loads(json.dumps(data, ensure_ascii=False).replace(_HASH, "#"))


def _quoted(text: str, item: str) -> Any:
    try:
        # JSON's strings are YAML's too, but YAML refuses some characters in them.
        return _checked(json.loads(text), item)
    except ValueError:
        return parse(text, item)


def _size(node: Node, known: dict[int, int]) -> int:
    """Return how many values and characters a node has, with aliases counted in full.

    Raises ValueError for a number that is too long.
    """
    if id(node) in known:
        return known[id(node)]
    if isinstance(node.value, str):
        if str(node.tag).endswith(":int") and len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"{node.value[:20]}... is a whole number of more than 64 bits")
        return 1 + len(node.value)
    known[id(node)] = 1  # inside itself, which JSON refuses afterwards
    entries = (one for entry in node.value for one in (entry if type(entry) is tuple else [entry]))
    known[id(node)] = 1 + sum(_size(one, known) for one in entries)
    return known[id(node)]


def _checked(data: Any, origin: str) -> Any:
    if problems := list(_problems(data, "", 0)):
        raise ConfigError([f"{origin}: {problem}" for problem in problems])
    return data


def _problems(data: Any, key: str, depth: int) -> Iterator[str]:
    """Yield a line for each value that plain data cannot hold or that exceeds a bound."""
    start = f"{key}: " if key else ""
    if depth > DEEPEST:
        yield f"{key[:20]}...: nested more than {DEEPEST} deep"
    elif isinstance(data, dict | list):
        for name, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _problems(below, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(data, int) and not -WIDEST <= data < WIDEST:
        yield f"{start}{to_one_line(data)} is a whole number of more than 64 bits"
    elif isinstance(data, str) and _NO_TEXT.search(data):
        yield f"{start}{data!r:.60} holds NUL or bytes that are not UTF-8; rename it"
