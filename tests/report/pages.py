"""Reading a page of HTML strictly: what is not closed, or closed twice, is an error."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "col"})


@dataclass(eq=False)
class Node:
    """An element. parts: elements and texts inside, in order."""

    tag: str
    attributes: dict[str, str]
    parts: list["Node | str"] = field(default_factory=list)

    def all(self, tag: str) -> Iterator["Node"]:
        """Every element of a kind inside."""
        for part in self.parts:
            if isinstance(part, Node):
                if part.tag == tag:
                    yield part
                yield from part.all(tag)

    def nodes(self) -> Iterator["Node"]:
        """Every element inside."""
        for part in self.parts:
            if isinstance(part, Node):
                yield part
                yield from part.nodes()

    def text(self) -> str:
        """All text inside, spaces joined."""
        parts = [p if isinstance(p, str) else p.text() for p in self.parts]
        return " ".join(" ".join(parts).split())


class _Strict(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.top = Node("", {})
        self.open = [self.top]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # Only SVG has elements that close themselves.
        self.open[-1].parts.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop()
        assert last.tag == tag, f"</{tag}> closes <{last.tag}>"

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def read_page(file: Path) -> Node:
    """The page's elements; AssertionError where they are not well nested."""
    parser = _Strict()
    parser.feed(file.read_text(encoding="utf-8"))
    parser.close()
    assert len(parser.open) == 1, f"not closed: {[node.tag for node in parser.open[1:]]}"
    return parser.top


def table_of(page: Node, caption: str) -> list[list[Node]]:
    """The cells of the table whose caption starts so, without heads that span it."""
    (table,) = [
        table
        for table in page.all("table")
        for found in table.all("caption")
        if found.text().startswith(caption)
    ]
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    cells = [[part for part in row.parts if isinstance(part, Node)] for row in rows]
    return [row for row in cells if len(row) > 1]
