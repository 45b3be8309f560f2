"""The console that tables are printed on."""

from typing import TextIO

from rich.console import Console


def console(stream: TextIO) -> Console:
    """Return a rich console on a stream that prints names verbatim.

    Tables are as wide as the terminal, or 200 columns in a log or a pipe.
    """
    width = None if stream.isatty() else 200
    # File names may hold what rich takes for markup.
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
