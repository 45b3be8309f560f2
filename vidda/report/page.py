"""The report's page: the template filled in, with style and script inside."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vidda.evaluate.transfer_tables import label_free_grids, label_free_legend
from vidda.report import page_data
from vidda.report.curves import curve_groups
from vidda.report.definitions import arm_definitions, task_definitions
from vidda.report.epoch_choices import compare_epoch_choices
from vidda.report.found_runs import FoundRuns
from vidda.report.gallery import GalleryClip
from vidda.report.main_result import main_result
from vidda.report.paired_differences import paired_differences
from vidda.report.reader_warnings import report_warnings
from vidda.report.report_config import ReportConfig
from vidda.report.reproduce import reproduce_commands
from vidda.report.run_records import Session
from vidda.report.target_label_use import RowTask

FOLDER = Path(__file__).parent / "template"

SECTIONS = {
    "result": "Result",
    "examples": "Examples",
    "label_free": "Label-free scores",
    "intervals": "Intervals",
    "differences": "Differences",
    "gap": "Gap closed",
    "breakdown": "Breakdown",
    "confusion": "Confusions",
    "training": "Training",
    "choosing": "Epochs chosen",
    "gallery": "Gallery",
    "quality": "Quality",
    "reproduce": "Reproduce",
}
"""Names of the sections by their id; those without content are not shown."""
HINTS = {
    "result": "No folder of this report has a transfer table; vidda evaluate with the key transfer"
    " makes one. The gap needs a transfer table.",
    "breakdown": "No folder of this report has predictions; vidda evaluate saves them.",
    "training": "No folder of this report is a training run.",
    "choosing": "No run of this report predicted its test clips after each epoch; the key"
    " watch.NAME=MANIFEST of vidda train and vidda adapt turns this on.",
    "gallery": "No gallery was requested: the keys gallery.source, gallery.control and translations"
    " name the clips, a folder of vidda control, and folders of vidda translate.",
    "quality": "No folder of this report is of vidda translate.",
}
"""How to get the sections that a report lacks."""
SERIOUS = "This is no result."
"""The end of warnings that nobody may miss."""


@dataclass(frozen=True, slots=True)
class PageMedia:
    """Clips whose videos are beside the page: examples of each task, and those of the gallery."""

    examples: Sequence[GalleryClip]
    gallery: Sequence[GalleryClip]


def render_page(
    config: ReportConfig,
    found: FoundRuns,
    used_labels: Collection[RowTask],
    media: PageMedia,
    session: Session,
    report_command: str,
) -> str:
    """Return the page as HTML; whatever comes from a file or a config is escaped.

    used_labels: rows and tasks that used target labels. session: the one that makes the report.
    report_command: listed last of the commands that reproduce everything.
    """
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    records = found.records()
    warnings = report_warnings(found)
    content = _content(config, found, used_labels, media)
    sections = [(key, name) for key, name in SECTIONS.items() if content.get(key, True)]
    return (
        _environment()
        .get_template("index.html.jinja")
        .render(
            title=config.title,
            main_result=main_result(found, config.gap, used_labels),
            summary=_summary(found),
            sections=sections,
            shown=[key for key, _ in sections],
            hints=[text for key, text in HINTS.items() if not content[key]],
            policy=_policy(script),
            # Files of this package: besides the charts the only text that is not escaped.
            style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
            script=Markup(script),
            warnings=warnings,
            serious=any(line.endswith(SERIOUS) for line in warnings),
            ends=config.gap,
            commands=reproduce_commands(records, report_command),
            version_rows=page_data.version_rows(records),
            records=records,
            session=session,
            **content,
        )
    )


def _content(
    config: ReportConfig, found: FoundRuns, used_labels: Collection[RowTask], media: PageMedia
) -> dict[str, Any]:
    """Return what the sections show, by the names of the template; empty where there is nothing."""
    transfer = found.transfer
    tested = page_data.tested_views(found.tested)
    cells = transfer is not None and bool(transfer.cells)
    results = page_data.result_views(transfer, found.tested)
    content: dict[str, Any] = {
        "transfer": page_data.transfer_view(transfer, used_labels) if transfer and cells else None,
        "tasks": [], "arms": [], "all_arms": "", "difference": None, "gaps_by_task": [],
    }  # fmt: skip
    if transfer:
        content["tasks"] = task_definitions(transfer.everything)
        content["arms"], content["all_arms"] = arm_definitions(found)
        differences = paired_differences(transfer, found.trainings, config.gap.source)
        content["difference"] = page_data.difference_view(differences, config.gap.source)
        content["gaps_by_task"] = page_data.gap_views(transfer, config.gap)
    return content | {
        "tested": tested,
        "result": cells or tested or content["tasks"] or content["arms"],
        "examples": media.examples,
        "label_free": label_free_grids(transfer.unlabeled) if transfer else [],
        "label_free_legend": label_free_legend(transfer.unlabeled) if transfer else [],
        "intervals": cells,
        "differences": content["difference"],
        "gap": [task for task in content["gaps_by_task"] if task["rows"]],
        "breakdown": results,
        "confusion": results,
        "training": curve_groups(found),
        "choosing": compare_epoch_choices(found),
        "gallery": media.gallery,
        "quality": page_data.quality_view(found.translations, config.worst),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda share: f"{100 * share:.1f}",
        "position": lambda share: f"{100 * share:.2f}%",
        "share": lambda share: f"{100 * share:.0f}%".replace("-", "\N{MINUS SIGN}"),
        "points": lambda share: f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}"),
        "number": lambda value: f"{value:.3g}",
    }
    return environment


def _summary(found: FoundRuns) -> str:
    """Return the counts of rows, runs, tests and translations, in a line."""
    parts = []
    if found.transfer:
        tasks = ", ".join(found.transfer.transfer.tasks)
        parts.append(f"{len(found.transfer.transfer.rows)} rows on {tasks}")
    counts = {
        "training run": len(found.trainings),
        "single test": len(found.tested),
        "translation": len(found.translations),
    }
    parts += [f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items() if n]
    return " · ".join(parts)


def _policy(script: str) -> str:
    """Return a Content-Security-Policy that allows this script and the page's videos alone."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:;"
        f" style-src 'unsafe-inline'; media-src 'self' file:; script-src 'sha256-{digest}'"
    )
