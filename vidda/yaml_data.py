"""YAML as plain data: what JSON can hold, in bounds that no config comes near."""

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
"""Values and characters of a document, every alias counted as what it stands for."""
DEEPEST = 50
"""Lists and mappings inside one another."""
WIDEST = 2**63
"""Whole numbers lie below it, and not below minus it."""
LONGEST_NUMBER = 100
"""Characters of a whole number, far above what `WIDEST` needs in any base."""

# Where a number, true, false or null may be; a date is text.
_SCALAR = re.compile(r"(?!\d+-)[.+-]*\w[\w.+-]*|~", re.ASCII)
# NUL, and how Python shows what is not UTF-8 in an argument.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# Stands for `#` while a value of the command line is read, where nothing is a comment.
_HASH = "\ue000"
_NOT_YAML = "not valid YAML"


def read(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, not validated; an empty file is an empty mapping."""
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
    """Return a value of the command line: number, true, false, null, list, mapping or text.

    `[...]`, `{...}` and quoted text are YAML's, but `#` begins no comment. Everything else is text
    as it stands, whatever it would mean in a YAML file. item: the argument, for messages. Raises
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
    """Return the plain data of a YAML text: a date is text, and so is every key.

    origin: where it is from, for messages. Raises ConfigError.
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


def shown(data: Any) -> str:
    """Return a value as it would stand in YAML, on one line, cut short."""
    text = json.dumps(data, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _flow(text: str, item: str) -> Any:
    try:
        data = parse(text.replace("#", _HASH), item)
    except ConfigError as error:
        said = error.problems[0].replace(_HASH, "#")
        hint = "; text that begins with a bracket is quoted, '\"[...\"'"
        raise ConfigError([said + (hint if _NOT_YAML in said else "")]) from None
    return json.loads(json.dumps(data, ensure_ascii=False).replace(_HASH, "#"))


def _quoted(text: str, item: str) -> Any:
    try:
        # JSON's strings are YAML's too, but YAML refuses some characters in them.
        return _checked(json.loads(text), item)
    except ValueError:
        return parse(text, item)


def _size(node: Node, known: dict[int, int]) -> int:
    """Return how many values and characters a node stands for; ValueError for a huge number."""
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
    """Yield what no config holds, a line each."""
    start = f"{key}: " if key else ""
    if depth > DEEPEST:
        yield f"{key[:20]}...: nested more than {DEEPEST} deep"
    elif isinstance(data, dict | list):
        for name, below in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _problems(below, f"{key}.{name}" if key else str(name), depth + 1)
    elif isinstance(data, int) and not -WIDEST <= data < WIDEST:
        yield f"{start}{shown(data)} is a whole number of more than 64 bits"
    elif isinstance(data, str) and _NO_TEXT.search(data):
        yield f"{start}{data!r:.60} holds NUL or bytes that are not UTF-8; rename it"
