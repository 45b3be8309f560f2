"""The exceptions that a user is meant to read."""

import re
from collections.abc import Sequence

# Control characters but the tab, marks that turn the direction of text, and bytes of no encoding.
_CONTROL = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


class ViddaError(Exception):
    """Something the user can mend: its text names the thing, the value and the remedy.

    The command line prints it as one line (or one line a problem) without a traceback.
    """


class ConfigError(ViddaError):
    """Every mistake of one config, a line each, in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def escape_control(text: str) -> str:
    """Return one line with control characters escaped, for a file's name may hold any.

    For whatever is shown on a terminal or kept in a log.
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
