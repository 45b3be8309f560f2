"""The manifest of translated clips, and the lists of clips that failed or were rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidda.data.manifest import csv_line, save_manifest, write_csv
from vidda.translate.outputs import ClipResult, read_result
from vidda.types import ClipRecord, Manifest

MANIFEST, FAILED, REJECTED = "manifest.csv", "failed.csv", "rejected.csv"
PRINTED_FIGURES = (
    *("warp_error_ratio", "flow_epe", "pck", "wrist_pck"),
    *("brightness_range", "color_range"),
)
"""Quality figures whose medians are printed."""


@dataclass(frozen=True, slots=True)
class MergedTranslations:
    """The results of a whole job, one for each clip."""

    results: tuple[ClipResult, ...]

    def count(self, status: str) -> int:
        """Return the number of clips with a status."""
        return sum(result.status == status for result in self.results)

    def medians(self) -> str:
        """Return the median quality of the kept clips as text; empty where there are none."""
        kept = [result.quality for result in self.results if result.status == "kept"]
        shown = []
        for name in PRINTED_FIGURES:
            values = [value for quality in kept if (value := quality[name]) is not None]
            if values:
                shown.append(f"{name} {np.median(values):.3g}")
        return ", ".join(shown)


def merge(out: Path, source: Manifest, digest: str) -> MergedTranslations | list[ClipRecord]:
    """Write OUT/manifest.csv and the lists, if every clip of the job has a whole result.

    source: the clips of the whole job. digest: of this translation, for the new ids. Returns the
    results, or, without writing anything, the clips that still lack one.
    """
    # By size alone: each shard has compared the hashes of its own files.
    found = [read_result(clip, out, content=False) for clip in source.clips]
    results = tuple(result for result in found if result is not None)
    if len(results) < len(found):
        return [clip for clip, result in zip(source.clips, found, strict=True) if result is None]
    kept = [
        translated_record(clip, result, digest)
        for clip, result in zip(source.clips, results, strict=True)
        if result.status == "kept"
    ]
    _write_list(out / FAILED, [result for result in results if result.status == "failed"])
    _write_list(out / REJECTED, [result for result in results if result.status == "rejected"])
    save_manifest(Manifest(out.absolute(), source.classes, tuple(kept)), out / MANIFEST)
    return MergedTranslations(results)


def translated_record(clip: ClipRecord, result: ClipResult, digest: str) -> ClipRecord:
    """Return the manifest record of a clip's translation, with the source's label and subject.

    result: of a kept clip. digest: ending of the new id, so that the source and several
    translations can be trained on together.
    """
    assert result.path is not None
    meta = {**clip.meta, **result.columns}
    return replace(
        clip,
        id=f"{clip.id}@{digest}",
        path=result.path,
        domain="translated",
        parent_id=clip.id,
        meta={name: value for name, value in meta.items() if value},
    )


def _write_list(file: Path, results: Sequence[ClipResult]) -> None:
    """Write a line for each reason; remove the file where there are no results."""
    if not results:
        file.unlink(missing_ok=True)
        return
    lines = [
        csv_line((result.id, result.path or "", reason))
        for result in results
        for reason in result.reasons
    ]
    write_csv(file, csv_line(("id", "path", "reason")), lines)
