"""The console that tables are printed on."""

from typing import TextIO

from rich.console import Console


def console(stream: TextIO) -> Console:
    """Shows names as they are, and in a log or a pipe does not fold tables to 80 columns."""
    width = None if stream.isatty() else 200
    # File names may hold what rich takes for markup.
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
