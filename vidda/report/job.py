"""`vidda report`: a web page of runs, and tables for papers.

OUT/index.html      the page; needs no server and no network; light and dark
OUT/videos/         videos of the examples and of the gallery, H.264
OUT/tables/         transfer.{md,csv,tex,json}, quality.csv
OUT/report.json     the main result, and the config and session it was made with, written last
"""

import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from vidda import provenance
from vidda.data.manifest import csv_line, write_csv
from vidda.errors import ViddaError
from vidda.evaluate.transfer_tables import write_tables
from vidda.files import atomic_folder, write_text
from vidda.report import gallery, latex
from vidda.report.example_clips import write_examples
from vidda.report.found_runs import FoundRuns, FoundTransfer, find_runs
from vidda.report.main_result import main_result
from vidda.report.page import PageMedia, render_page
from vidda.report.report_config import ReportConfig
from vidda.report.run_records import read_json, read_session
from vidda.report.target_label_use import RowTask, rows_with_target_labels
from vidda.report.translations import Translation

FORMAT = "vidda-report-1"
STAMP = "report.json"


def run(config: ReportConfig, *, dry_run: bool, resume: bool) -> int:
    """Write the report of the config's folders; return exit status 0.

    dry_run: read everything and write nothing. resume: replace a report in OUT. Raises ViddaError
    where a folder cannot be reported, or OUT holds something else.
    """
    _check_out(config.out, resume)
    found = find_runs(config)
    chosen = gallery.choose_clips(config.gallery, found.translations) if config.gallery else None
    if dry_run:
        print(f"dry run: would report {len(found.records())} folders in {config.out}")
        return 0
    out = config.out.resolve()
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    with atomic_folder(fresh) as folder:
        result = _write(config, found, chosen, folder)
    # The old report stays until the new one is whole.
    if out.exists():
        shutil.rmtree(out)
    fresh.rename(out)
    print(result)
    print(f"written: {config.out / 'index.html'}")
    return 0


def read_main_result(out: Path) -> str:
    """Return the sentence of a report in OUT; ViddaError where its report.json has none."""
    content = read_json(out / STAMP)
    try:
        return str(content["main_result"])
    except (KeyError, TypeError):
        raise ViddaError(
            f"{out / STAMP}: written by another version of vidda report; delete {out} and make the"
            " report again"
        ) from None


def _check_out(out: Path, resume: bool) -> None:
    """Raise ViddaError where OUT holds something other than a report, or one without resume."""
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / STAMP).is_file()):
        raise ViddaError(f"{out} holds something other than a report; choose another folder")
    if (out / STAMP).is_file() and not resume:
        raise ViddaError(f"{out} holds a report; choose another folder, or --resume replaces it")


def _write(
    config: ReportConfig, found: FoundRuns, chosen: gallery.ChosenClips | None, folder: Path
) -> str:
    """Write everything into a folder; return the sentence that the page begins with."""
    clips = []
    if config.gallery and chosen:
        clips = gallery.write(config.gallery, chosen, found.translations, folder)
    used_labels = rows_with_target_labels(found, config.gap.target)
    if found.transfer:
        _write_transfer(found.transfer, used_labels, folder / "tables")
    if found.translations:
        _write_quality(found.translations, folder / "tables" / "quality.csv")
    stored = provenance.describe_session()
    made = read_session(stored)
    result = main_result(found, config.gap, used_labels)
    media = PageMedia(write_examples(found, folder), clips)
    page = render_page(config, found, used_labels, media, made, made.command)
    write_text(folder / "index.html", page)
    content = {
        "format": FORMAT,
        "main_result": result,
        "config": config.model_dump(mode="json"),
        "session": stored,
    }
    write_text(folder / STAMP, json.dumps(content, indent=1) + "\n")
    return result


def _write_transfer(found: FoundTransfer, used_labels: Collection[RowTask], folder: Path) -> None:
    tasks, confidence = found.transfer.tasks, found.intervals.confidence
    write_tables(folder, found.cells, found.epochs, tasks, confidence)
    write_text(
        folder / "transfer.tex", latex.latex_table(found.cells, tasks, confidence, used_labels)
    )


def _write_quality(translations: Mapping[str, Translation], file: Path) -> None:
    """Write a line for every clip of every translation, with all its quality figures."""
    figures = dict.fromkeys(
        name for one in translations.values() for c in one.clips.values() for name in c.quality
    )
    header = csv_line(["translation", "clip", "status", "reasons", *figures])
    lines = [
        csv_line(
            [key, clip.id, clip.status, "; ".join(clip.reasons)]
            + ["" if (v := clip.quality.get(n)) is None else f"{v:.6g}" for n in figures]
        )
        for key, one in translations.items()
        for clip in one.clips.values()
    ]
    write_csv(file, header, lines)
