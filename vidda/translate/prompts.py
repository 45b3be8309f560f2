"""Prompts for each clip: a template, filled from the manifest or from captions."""

import csv
import difflib
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from vidda.config import Config
from vidda.data.manifest import csv_line, first_problems, write_csv
from vidda.errors import ViddaError
from vidda.types import ClipRecord

# Source: Sinha 2023.
NEGATIVE = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits,"
    " cropped, worst quality, low quality"
)
TooLong = Callable[[Sequence[str]], dict[str, str]]
"""A function that returns the prompts that a model truncates, each with a text on its length."""

_COLUMNS = ("id", "domain", "view", "subject", "altitude_m")
_OTHER_FIELDS = ("class", "token", "caption")


class PromptConfig(Config):
    """The template of the clips' prompts, its values, and the negative prompt."""

    template: str = Field(
        default="a person, best quality, extremely detailed",
        description="prompt of each clip; may name {class}, {token}, {caption}, {domain}, {view},"
        " {subject} and any further column of the manifest",
    )
    negative: str = Field(
        default=NEGATIVE, description="negative prompt, which guidance leads away from"
    )
    token: str | None = Field(
        default=None, description="the personalized words that {token} stands for, e.g. sks person"
    )
    classes: dict[str, str] = Field(
        default={},
        description="words that {class} stands for, by class name; default: the name itself",
    )
    captions: Path | None = Field(
        default=None,
        description="CSV of clip and caption that {caption} is from, as vidda caption writes it",
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        names = template_fields(self.template)
        for name, value in (("token", self.token), ("captions", self.captions)):
            field = name.removesuffix("s")
            if field in names and value is None:
                raise ValueError(f"template names {{{field}}}, but {name} is not set")
            if field not in names and value is not None:
                raise ValueError(f"{name} is set, but template does not name {{{field}}}")
        return self


def template_fields(template: str) -> set[str]:
    """Return the names in braces in a template.

    Raises ValueError when a brace is not closed or a name is not plain.
    """
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}; double a literal brace") from None
    for _, name, form, conversion in parsed:
        if name is not None and (not name.isidentifier() or form or conversion):
            raise ValueError(
                f"template {template!r}: {{{name}}} is not a plain name; double a literal brace"
            )
    return {name for _, name, _, _ in parsed if name is not None}


class Prompts:
    """The prompts of a manifest's clips.

    classes: the manifest's class names, by label. Raises ViddaError when the captions cannot be
    read, or the config words a class that does not exist.
    """

    def __init__(self, config: PromptConfig, classes: Sequence[str]) -> None:
        self.config = config
        self._classes = classes
        self._captions = read_captions(config.captions) if config.captions else {}
        unknown = [name for name in config.classes if name not in classes]
        if unknown:
            raise ViddaError(
                "\n".join(
                    f"prompt.classes: no class {name!r}{_suggestion(name, classes)}"
                    for name in unknown
                )
            )

    def of(self, clip: ClipRecord) -> str:
        """Return one clip's prompt; raises ViddaError when the clip lacks a value that the template
        names.
        """
        values = self._values(clip)
        lacking = sorted(
            name for name in template_fields(self.config.template) if not values.get(name)
        )
        if lacking:
            raise ViddaError(self._lack(clip, lacking[0], values))
        return self.config.template.format_map(values)

    def check(self, clips: Sequence[ClipRecord], too_long: TooLong | None = None) -> None:
        """Raise ViddaError, with a line for each mistake, unless every clip has its prompt.

        too_long: the model's check of lengths, or None.
        """
        problems = []
        first: dict[str, ClipRecord] = {}  # clip of each prompt
        for clip in clips:
            try:
                first.setdefault(self.of(clip), clip)
            except ViddaError as error:
                problems.append(str(error))
        if too_long is not None:
            problems += self._too_long(first, too_long)
        if problems:
            raise ViddaError("\n".join(first_problems(problems)))

    def _too_long(self, clips: Mapping[str, ClipRecord], too_long: TooLong) -> list[str]:
        """Return a line for each clip's prompt that is too long, and for the negative one."""
        problems = []
        for prompt, length in too_long(list(clips)).items():
            label = clips[prompt].label
            class_note = "" if label is None else f" (class {self._classes[label]!r})"
            problems.append(
                f"clip {clips[prompt].id!r}{class_note}: its prompt has {length}; shorten"
                f" prompt.template or what it names: {prompt!r:.80}"
            )
        for prompt, length in too_long([self.config.negative]).items():
            problems.append(f"prompt.negative has {length}; shorten {prompt!r:.80}")
        return problems

    def _values(self, clip: ClipRecord) -> dict[str, str]:
        """Return a clip's values of all names that a template can use."""
        values = dict(clip.meta)
        for name in _COLUMNS:
            value = getattr(clip, name)
            values[name] = f"{value:g}" if isinstance(value, float) else value or ""
        label = None if clip.label is None else self._classes[clip.label]
        values["class"] = "" if label is None else self.config.classes.get(label, label)
        values["token"] = self.config.token or ""
        values["caption"] = self._captions.get(clip.id, "")
        return values

    def _lack(self, clip: ClipRecord, name: str, values: Mapping[str, str]) -> str:
        """Return the message that a clip has no value for a name in the template."""
        if name == "caption":
            return f"clip {clip.id!r}: not in {self.config.captions}; run vidda caption for it"
        if name == "class":
            return f"clip {clip.id!r}: has no label for {{class}}; leave {{class}} out of template"
        if name in values:
            return f"clip {clip.id!r}: its column {name!r} is empty; leave {{{name}}} out"
        return f"clip {clip.id!r}: template names {{{name}}}{_suggestion(name, values)}"


def read_captions(file: Path) -> dict[str, str]:
    """Return captions by clip id from a CSV file; raises ViddaError with a line for each
    mistake.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ViddaError(
            f"{file}: cannot be read as captions ({error}); run vidda caption"
        ) from None
    if not {"clip", "caption"} <= set(header):
        raise ViddaError(f"{file}:1: its columns are {','.join(header)}; it needs clip,caption")
    captions: dict[str, str] = {}
    problems = []
    for line, row in rows:
        if not row["clip"] or not row["caption"]:
            problems.append(f"{file}:{line}: clip or caption is empty; remove the line")
        elif row["clip"] in captions:
            problems.append(f"{file}:{line}: clip {row['clip']!r} is duplicated; remove one line")
        else:
            captions[row["clip"]] = row["caption"]
    if problems:
        raise ViddaError("\n".join(first_problems(problems)))
    return captions


def write_captions(file: Path, captions: Sequence[tuple[str, str, str]]) -> None:
    """Write a CSV file for `read_captions`, atomically.

    captions: clip id, caption, and the frame that the caption is of.
    """
    write_csv(file, csv_line(("clip", "caption", "of")), [csv_line(row) for row in captions])


def _suggestion(name: str, known: Sequence[str] | Mapping[str, str]) -> str:
    """Return the end of a message on an unknown name: the most similar known one, or all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
