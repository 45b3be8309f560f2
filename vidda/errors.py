"""The exceptions that a user is meant to read."""

from collections.abc import Sequence


class ViddaError(Exception):
    """Something the user can mend: its text names the thing, the value and the remedy.

    The command line prints it as one line (or one line a problem) without a traceback.
    """


class ConfigError(ViddaError):
    """Every mistake of one config, a line each, in `problems`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
