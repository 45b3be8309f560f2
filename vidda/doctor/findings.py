"""What a check found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "broken"]


class Missing(Exception):
    """A part is not there, which its text explains; any other exception means that it is broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: the state and, in one line, what is there or what is wrong."""

    state: State
    detail: str
