"""Run every block of a page, in order: python tests/doc_runner.py PAGE, in a folder of made inputs.

A process of its own, since blocks define modules, install packages and change what is imported.
"""

import ast
import importlib
import re
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.doc_commands import Commands, PageError
from tests.doc_pages import FILES, LANGUAGES, ROOT, SHELL, Block, blocks, lines_of
from vidda import config
from vidda.command import COMMANDS, schema_of
from vidda.config import ConfigError
from vidda.video.writing import SUFFIXES

COMMAND = re.compile(r"# vidda ([a-z]+)\b")
RUN_OF_WORDS = 3
"""Successive words by which a printed line is found in the source."""


class PageRunner:
    """The blocks of a page so far: their names, files and commands."""

    def __init__(self, page: Path) -> None:
        self.page = page
        self.commands = Commands({one.name for one in Path().iterdir()})
        self.names: dict[str, Any] = {"__name__": "page"}

    def run(self) -> None:
        """Run all; raises PageError for the first block that does not work, naming its line."""
        for block in blocks(self.page):
            self._block(block)
        unread = self.commands.own - self.commands.read
        if unread:
            raise PageError(f"{self.page.name}: no command or block reads {sorted(unread)}")

    def _block(self, block: Block) -> None:
        if block.language not in LANGUAGES:
            known = ", ".join(sorted(LANGUAGES - {""}))
            raise PageError(f"{block.place}: language {block.language!r}; known are {known}")
        if block.language in SHELL:
            for line, command in lines_of(block):
                print(f"{self.page.name}:{line}: {command}", flush=True)
                self.commands.run(command)
        elif block.language == "text":
            check_text(block)
        elif block.file:
            self._file(block, block.file)
        elif block.language == "python":
            self._python(block)
        elif block.language == "yaml":
            check_keys(block)
        elif block.language in FILES:
            raise PageError(f"{block.place}: its first line has to name the file: # NAME.ext")

    def _python(self, block: Block) -> None:
        print(f"{block.place}: python", flush=True)
        text = "\n" * (block.line - 1) + block.text  # lines of errors are the page's
        exec(compile(text, str(self.page), "exec"), self.names)
        self.commands.read |= {one for one in self.commands.own if one in block.text}

    def _file(self, block: Block, name: str) -> None:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or path.parts[0] in self.commands.made:
            raise PageError(f"{block.place}: {name} is not a name for a new file")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.content)
        if path.suffix != ".py":
            self.commands.own.add(name)
        elif len(path.parts) == 1:
            importlib.invalidate_caches()
            importlib.import_module(path.stem)
        else:  # of a package, which is installed
            ast.parse(block.text)


def check_keys(block: Block) -> None:
    """Check that a part of a config has keys and values that its command takes."""
    found = COMMAND.match(block.text)
    if found is None or found[1] not in COMMANDS:
        raise PageError(f"{block.place}: its first line has to be # NAME.yaml or # vidda COMMAND")
    file = Path("part.yaml")
    file.write_text(block.text)
    try:
        config.load(schema_of(found[1]), file)
    except ConfigError as error:
        wrong = [one for one in error.problems if ": missing;" not in one]
        if wrong:
            raise PageError(f"{block.place}: {wrong}") from None


def check_text(block: Block) -> None:
    """Make the files of a tree, or check that vidda's source has the words that it is to print."""
    lines = [line for line in block.text.splitlines() if line.strip() not in ("", "...")]
    if all("/" in line.split()[0] or line.startswith(" ") for line in lines):
        make_tree(lines)
        return
    source = source_text()
    for line in re.sub(r"\n +", " ", "\n".join(lines)).splitlines():
        words = line.split()
        runs = [" ".join(words[n : n + RUN_OF_WORDS]) for n in range(len(words))]
        if not any(run in source for run in runs[: max(1, len(words) - RUN_OF_WORDS + 1)]):
            raise PageError(f"{block.place}: vidda prints no line like {line!r}")


def make_tree(lines: list[str]) -> None:
    """Make the folders and videos that indented lines name: `FOLDER/  VIDEO VIDEO ...  # why`."""
    above: list[tuple[int, Path]] = []
    for line in lines:
        depth = len(line) - len(line.lstrip())
        above = [one for one in above if one[0] < depth]
        folder = above[-1][1] if above else Path()
        for name in line.partition("#")[0].replace(",", " ").split():
            path = folder / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                above.append((depth, path))
                folder = path
            elif path.suffix.lower() in SUFFIXES and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy("clip.mp4", path)


@cache
def source_text() -> str:
    """Every text in vidda's source, a line each."""
    found = set()
    for file in (ROOT / "vidda").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return "\n".join(found)


if __name__ == "__main__":
    sys.path.append(str(Path().absolute()))
    try:
        PageRunner(Path(sys.argv[1])).run()
    except PageError as error:
        sys.exit(str(error))
