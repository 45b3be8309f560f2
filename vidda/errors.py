"""Exceptions whose text is written for the user, and text that is safe to print."""

import re
from collections.abc import Sequence

# Control characters but the tab, marks that turn the direction of text, and bytes of no encoding.
_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class ViddaError(Exception):
    """An error that the user can fix: its text names the thing, the value and the remedy.

    The command line prints it without a traceback, as one line a problem.
    """


class ConfigError(ViddaError):
    """All mistakes of one config, a line each, in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def escape_control(text: str) -> str:
    """Return one line of text with control characters escaped, to print or to log.

    A file's name may hold any character: line breaks, terminal codes, marks of text direction.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
