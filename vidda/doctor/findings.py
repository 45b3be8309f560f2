"""Findings of checks."""

from dataclasses import dataclass
from typing import Literal

FindingState = Literal["ok", "missing", "broken"]


class MissingPart(Exception):
    """Raised by a check if its part is missing; the text explains it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check. detail: one line that describes the part or its fault."""

    state: FindingState
    detail: str
