"""The manifest of translated clips, and the lists of those that are not in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidda.data.manifest import csv_line, save_manifest, write_csv
from vidda.translate.outputs import ClipResult, result_of
from vidda.types import ClipRecord, Manifest

MANIFEST, FAILED, REJECTED = "manifest.csv", "failed.csv", "rejected.csv"
TOLD = ("warp_error_ratio", "flow_epe", "pck", "brightness_range", "color_range")
"""Figures whose medians are printed."""


@dataclass(frozen=True, slots=True)
class MergedTranslations:
    """What a whole job came to, a result for each clip."""

    results: tuple[ClipResult, ...]

    def count(self, status: str) -> int:
        """Return how many clips have a status."""
        return sum(result.status == status for result in self.results)

    def medians(self) -> str:
        """Return the quality of the clips that are kept, in words; empty where there are none."""
        kept = [result.quality for result in self.results if result.status == "kept"]
        shown = []
        for name in TOLD:
            values = [value for quality in kept if (value := quality[name]) is not None]
            if values:
                shown.append(f"{name} {np.median(values):.3g}")
        return ", ".join(shown)


def merge(out: Path, source: Manifest, print_: str) -> MergedTranslations | list[ClipRecord]:
    """Write OUT/manifest.csv and the lists, once every clip of the job has a whole result.

    source: the clips of the whole job. print_: of this translation, for the ids. Gives the clips
    that still lack a result, and writes nothing then.
    """
    # By size alone: each shard has compared what it found with its hashes.
    found = [result_of(clip, out, content=False) for clip in source.clips]
    results = tuple(result for result in found if result is not None)
    if len(results) < len(found):
        return [clip for clip, result in zip(source.clips, found, strict=True) if result is None]
    kept = [
        translated(clip, result, print_)
        for clip, result in zip(source.clips, results, strict=True)
        if result.status == "kept"
    ]
    _write_list(out / FAILED, [result for result in results if result.status == "failed"])
    _write_list(out / REJECTED, [result for result in results if result.status == "rejected"])
    save_manifest(Manifest(out.absolute(), source.classes, tuple(kept)), out / MANIFEST)
    return MergedTranslations(results)


def translated(clip: ClipRecord, result: ClipResult, print_: str) -> ClipRecord:
    """Return the record of a clip's translation: its label, subject and place are the source's.

    The id is another one, so that both, and several translations, can be trained on together.
    """
    assert result.path is not None
    meta = {**clip.meta, **result.columns}
    return replace(
        clip,
        id=f"{clip.id}@{print_}",
        path=result.path,
        domain="translated",
        parent_id=clip.id,
        meta={name: value for name, value in meta.items() if value},
    )


def _write_list(file: Path, results: Sequence[ClipResult]) -> None:
    """A line for each reason; no file where there are none."""
    if not results:
        file.unlink(missing_ok=True)
        return
    lines = [
        csv_line((result.id, result.path or "", reason))
        for result in results
        for reason in result.reasons
    ]
    write_csv(file, csv_line(("id", "path", "reason")), lines)
