"""The transfer table for LaTeX, with the rules of the package booktabs."""

from collections.abc import Collection, Sequence

from vidda.evaluate.transfer import ALL, TransferCell
from vidda.report.target_label_use import best_rows

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "#$%&_"},
}


def escape(text: str) -> str:
    """Escape the characters of a text that have a meaning in LaTeX."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def latex_table(
    cells: Sequence[TransferCell],
    tasks: Sequence[str],
    confidence: float,
    used_labels: Collection[tuple[str, str]] = (),
) -> str:
    """Return a `table` environment: accuracy in % with deviation, and the interval below it.

    confidence: of the intervals, 0 to 1; they are the bootstrap's, or Wilson's where there is none.
    The best row of a task is bold. used_labels: rows and tasks that cannot be best, because they
    used labels of the target.
    """
    whole = [cell for cell in cells if cell.part == ALL]
    by_row_task = {(cell.row, cell.task): cell for cell in whole}
    best = best_rows(whole, used_labels)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{Accuracy in \\%, mean $\\pm$ standard deviation over seeds, and the"
        f" {100 * confidence:g}\\% interval. Bold: the best that saw no label of the target.}}",
        f"  \\begin{{tabular}}{{l{'c' * len(tasks)}}}",
        "    \\toprule",
        f"    trained on & {' & '.join(map(escape, tasks))} \\\\",
        "    \\midrule",
    ]
    for row in dict.fromkeys(cell.row for cell in whole):
        own = [by_row_task.get((row, task)) for task in tasks]
        means = [_mean(c, c is not None and (c.row, c.task) in best) for c in own]
        lines.append(f"    {escape(row)} & {' & '.join(means)} \\\\")
        lines.append(f"     & {' & '.join(map(_interval, own))} \\\\")
    lines += ["    \\bottomrule", "  \\end{tabular}", "\\end{table}"]
    return "\n".join(lines) + "\n"


def _mean(cell: TransferCell | None, best: bool) -> str:
    if cell is None:
        return "--"
    mean = f"{100 * cell.mean:.1f}"
    text = f"\\mathbf{{{mean}}}" if best else mean
    return f"${text}$" if cell.deviation is None else f"${text} \\pm {100 * cell.deviation:.1f}$"


def _interval(cell: TransferCell | None) -> str:
    if cell is None:
        return ""
    interval = cell.bootstrap or cell.wilson
    return f"{{\\scriptsize $[{100 * interval.low:.1f}, {100 * interval.high:.1f}]$}}"
