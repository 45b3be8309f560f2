"""The report's page: the template filled in, with style and script inside."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vidda.report import page_data
from vidda.report.epoch_choices import compare_epoch_choices
from vidda.report.found_runs import FoundRuns
from vidda.report.gallery import GalleryClip
from vidda.report.reader_warnings import report_warnings
from vidda.report.report_config import ReportConfig
from vidda.report.reproduce import reproduce_commands
from vidda.report.run_records import Session
from vidda.report.target_label_use import RowTask

FOLDER = Path(__file__).parent / "template"

SECTIONS = {
    "transfer": "Transfer",
    "gap": "Gap closed",
    "breakdown": "Breakdown",
    "confusion": "Confusions",
    "training": "Training",
    "choosing": "Epochs chosen",
    "gallery": "Gallery",
    "quality": "Quality",
    "reproduce": "Reproduce",
}


def render_page(
    config: ReportConfig,
    found: FoundRuns,
    used_labels: Collection[RowTask],
    main_result: str,
    clips: Sequence[GalleryClip],
    session: Session,
    report_command: str,
) -> str:
    """Return the page as HTML; whatever comes from a file or a config is escaped.

    used_labels: rows and tasks that used target labels. main_result: the sentence that it begins
    with. clips: of the gallery. session: the one that makes the report. report_command: listed last
    of the commands that reproduce everything.
    """
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
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    records = found.records()
    transfer = found.transfer
    return environment.get_template("index.html.jinja").render(
        title=config.title,
        main_result=main_result,
        summary=_summary(found),
        sections=SECTIONS.items(),
        policy=_policy(script),
        # Files of this package: besides the charts the only text that is not escaped.
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        warnings=report_warnings(found),
        transfer=page_data.transfer_view(transfer, used_labels) if transfer else None,
        gap=config.gap,
        gaps_by_task=page_data.gap_views(transfer, config.gap) if transfer else [],
        tested=page_data.tested_views(found.tested),
        results=page_data.result_views(transfer, found.tested),
        curves=page_data.curve_views(found),
        choices=compare_epoch_choices(found),
        clips=clips,
        quality=page_data.quality_view(found.translations, config.worst),
        commands=reproduce_commands(records, report_command),
        version_rows=page_data.version_rows(records),
        records=records,
        session=session,
    )


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
