"""The pages of documentation and their blocks of code.

A block is fenced, or indented as a paragraph of code, and its language says what is done with it:

python      executed, in the page's order, with the names of the blocks before. One that opens with
            `# NAME.py` is that file, which later blocks import or run
bash, none  each line is a command: run, or checked by --dry-run where it would take a GPU, the hub
            or minutes (`doc_commands`)
yaml        opens with `# NAME.yaml`, a file that a command of the page reads; or with
            `# vidda COMMAND`, of whose config these are some keys
toml, csv, json, ini   opens with `# NAME`, a file (csv and json without that line)
text        a tree of files, which are made; or lines that vidda prints
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "data_prep").glob("*.md")),
]
SHELL = {"", "bash", "sh", "console"}
FILES = {"yaml", "toml", "csv", "json", "ini"}
LANGUAGES = {"python", "text", *SHELL, *FILES}


@dataclass(frozen=True)
class Block:
    """A block of code: its page, the line of the page that it begins in, its language and text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that this is, by its first line."""
        first = self.text.partition("\n")[0]
        name = first.removeprefix("#").strip()
        return name if first.startswith("#") and Path(name).suffix and " " not in name else None

    @property
    def content(self) -> str:
        """The text, without the file's name where the format has no comments."""
        without = self.language in ("csv", "json") and self.file
        return self.text.partition("\n")[2] if without else self.text


def blocks(page: Path) -> list[Block]:
    """Every block of a page, also those in lists and quotes."""
    return [
        Block(page, token.map[0] + 1 + (token.type == "fence"), token.info.strip(), token.content)
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8"))
        if token.type in ("fence", "code_block") and token.map
    ]


def lines_of(block: Block) -> Iterator[tuple[int, str]]:
    """The commands of a shell block, each with its line in the page; without comments.

    A line that ends in a backslash goes on in the next one.
    """
    pending, start = "", 0
    for number, line in enumerate(block.text.splitlines(), start=block.line):
        start = start if pending else number
        pending += line.removesuffix("\\").strip().removeprefix("$ ") + " "
        if line.endswith("\\"):
            continue
        command = pending.partition(" # ")[0].strip()
        if command and not command.startswith("#"):
            yield start, command
        pending = ""
