"""The page itself: the template filled in, with style and script inside."""

import base64
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vidda.report import page_data
from vidda.report.epoch_choices import choices
from vidda.report.found_runs import Found
from vidda.report.gallery import ShownClip
from vidda.report.report_config import ReportConfig
from vidda.report.reproduce import commands
from vidda.report.run_records import Session
from vidda.report.seen_labels import Place
from vidda.report.warnings import warnings

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


def render(
    config: ReportConfig,
    found: Found,
    informed: Collection[Place],
    clips: Sequence[ShownClip],
    made: Session,
    extra: str,
) -> str:
    """Return the page as HTML; whatever comes from a file or a config is escaped.

    informed: see `saw_labels`. clips: of the gallery. made: this session. extra: its command, the
    last of all.
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
        "place": lambda share: f"{100 * share:.2f}%",
        "share": lambda share: f"{100 * share:.0f}%".replace("-", "\N{MINUS SIGN}"),
        "points": lambda share: f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}"),
        "number": lambda value: f"{value:.3g}",
    }
    script = (FOLDER / "script.js").read_text(encoding="utf-8")
    records = found.records()
    transfer = found.transfer
    return environment.get_template("index.html.jinja").render(
        title=config.title,
        summary=_summary(found),
        sections=SECTIONS.items(),
        policy=_policy(script),
        # Ours, and the only text besides the charts that is not escaped.
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        script=Markup(script),
        warnings=warnings(found),
        transfer=page_data.transfer_view(transfer, informed) if transfer else None,
        gap=config.gap,
        gaps_by_task=page_data.gap_views(transfer, config.gap) if transfer else [],
        tested=page_data.tested_views(found.tested),
        results=page_data.result_views(transfer, found.tested),
        curves=page_data.curve_views(found),
        choices=choices(found),
        clips=clips,
        quality=page_data.quality_view(found.translations, config.worst),
        commands=commands(records, extra),
        version_rows=page_data.version_rows(records),
        records=records,
        made=made,
    )


def _summary(found: Found) -> str:
    """What the report is of, in a line."""
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
    """Nothing is loaded but the videos beside the page, and no script runs but this one."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:;"
        f" style-src 'unsafe-inline'; media-src 'self' file:; script-src 'sha256-{digest}'"
    )
