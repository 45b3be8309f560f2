"""The result of `vidda gap` in files: gap.json, attributes.csv, source.csv, target.csv."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vidda.console import console
from vidda.data.manifest import csv_line, write_csv
from vidda.gap.attribute_distances import AttributeDistance
from vidda.gap.attribute_heads import AttributeHead
from vidda.gap.attribute_table import AttributeTable
from vidda.gap.gap_page import AttributeRow
from vidda.gap.gap_score import GapScore, SpaceDistances

FORMAT = "vidda-gap-1"


def write_gap_tables(
    out: Path,
    rows: Sequence[AttributeRow],
    tables: Mapping[str, AttributeTable],
    spaces: Mapping[str, SpaceDistances],
) -> None:
    """Write attributes.csv, source.csv and target.csv."""
    names = list(AttributeDistance.__dataclass_fields__)
    lines = []
    for row in rows:
        values = asdict(row.distance)
        cells = [f"{values[name]:.6g}" for name in names]
        made = "measured" if row.head is None else "predicted"
        lines.append(csv_line([row.name, row.unit, made, *cells]))
    write_csv(out / "attributes.csv", csv_line(["attribute", "unit", "values", *names]), lines)
    for side, table in tables.items():
        columns = {}
        for name, space in spaces.items():
            columns[f"{name}.neighbors"] = getattr(space, f"neighbors_{side}")
            columns[f"{name}.log_density"] = getattr(space, f"density_{side}")
        if side == "target":
            predicted = [row.head for row in rows if row.head is not None]
            columns |= {f"predicted.{head.attribute}": head.target for head in predicted}
        table.write(out / f"{side}.csv", columns)


def gap_content(
    score: GapScore,
    rows: Sequence[AttributeRow],
    spaces: Mapping[str, SpaceDistances],
    heads: Sequence[AttributeHead],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the content of gap.json. heads: all that were tested."""
    return {
        "format": FORMAT,
        "score": asdict(score),
        "attributes": {
            row.name: {"unit": row.unit, "predicted": row.head is not None} | asdict(row.distance)
            for row in rows
        },
        "features": {
            name: {
                "dimensions": space.dimensions,
                "neighbors_source": float(space.neighbors_source.mean()),
                "neighbors_target": float(space.neighbors_target.mean()),
                "neighbor_shift": space.neighbor_shift,
                "log_density_source": float(space.density_source.mean()),
                "log_density_target": float(space.density_target.mean()),
                "proxy_a_distance": space.proxy_a,
                "frechet": space.frechet,
                "frechet_floor": space.frechet_floor,
                "frechet_extrapolated": space.frechet_extrapolated,
            }
            for name, space in spaces.items()
        },
        "heads": [
            {
                "attribute": head.attribute,
                "features": head.features,
                "measure": "accuracy" if head.classes else "r2",
                "score": head.score,
                "chance": head.chance,
                "on_target": head.on_target,
            }
            for head in heads
        ],
        "notes": list(notes),
    }


def print_gap(score: GapScore, space: str, rows: Sequence[AttributeRow]) -> None:
    """Print the table of attributes and the score. space: name of the one that counts."""
    heads = ("attribute", "source", "target", "deviations", "Bhattacharyya", "p")
    table = Table(*heads, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        one = row.distance
        name = row.name if row.head is None else f"{row.name} (predicted)"
        values = (one.source_mean, one.target_mean, one.standardized, one.bhattacharyya)
        table.add_row(name, *(f"{value:.3g}" for value in values), f"{one.p_value:.3f}")
    console(sys.stdout).print(table)
    print(
        f"score {score.value:.3f} ± {score.spread:.3f}: attributes {score.attributes:.3f},"
        f" neighbors in {space} {score.neighbors:.3f}; halves of the target {score.floor:.3f}"
    )
