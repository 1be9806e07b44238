"""Tables of the benchmark of buildings: a row for each method; and how a score follows density, noise and kind of scan."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from sparse_convonet.evaluation.buildings.protocol import BuildingScan
from sparse_convonet.evaluation.buildings.scoring import ScoredScan
from sparse_convonet.evaluation.means import column_means
from sparse_convonet.runtime.atomic import atomic_path

SPLIT_SCORES = ("F 1 cm", "F 2.5 cm")  # of the tables by density, noise and kind
_DIGITS = {"F": 3, "normal c.": 3, "accuracy cm": 2, "completeness cm": 2, "seconds": 1, "memory GB": 2, "faces": 0}
_BY: Mapping[str, Callable[[BuildingScan], str]] = {
    "points per m2": lambda scan: f"{scan.per_m2:g}",
    "noise, mm": lambda scan: f"{1000 * scan.noise_m:g}",
    "kind": lambda scan: scan.kind,
    "building": lambda scan: scan.building.rstrip("0123456789_"),
}

Rows = Mapping[str, Sequence[ScoredScan]]


def mean_values(rows: Sequence[ScoredScan]) -> dict[str, float | None]:
    """Of each column, over the scans that have a value."""
    return column_means([row.values for row in rows])


def markdown(rows: Rows) -> str:
    """The means of each method; then F-scores by density, noise, kind and where the building is from."""
    means = {label: mean_values(found) for label, found in rows.items()}
    columns = list(dict.fromkeys(name for each in means.values() for name, value in each.items() if value is not None))
    table = [["", "scans", "no mesh", *columns]]
    for label, found in rows.items():
        failed = str(sum(bool(row.failure) for row in found) or "")
        table.append([label, str(len(found)), failed, *(_text(name, means[label].get(name)) for name in columns)])
    parts = [_lines(table)]
    for score in SPLIT_SCORES:
        for what, key in _BY.items():
            groups = list(dict.fromkeys(key(row.scan) for found in rows.values() for row in found))
            table = [[f"{score}, by {what}", *groups]]
            for label, found in rows.items():
                of_group = (mean_values([row for row in found if key(row.scan) == group]) for group in groups)
                table.append([label, *(_text(score, each.get(score)) for each in of_group)])
            parts.append(_lines(table))
    return "\n".join(parts)


def write_tables(out: Path, rows: Rows) -> None:
    """buildings.md; buildings.csv and buildings.json with every scan and all digits."""
    with atomic_path(out / "buildings.md") as temporary:
        temporary.write_text(markdown(rows), encoding="utf-8")
    names = list(dict.fromkeys(name for found in rows.values() for row in found for name in row.values))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "building", "scan", *names, "failure"])
    for label, found in rows.items():
        for row in found:
            values = ("" if row.values.get(name) is None else row.values[name] for name in names)
            writer.writerow([label, row.scan.building, row.scan.name, *values, row.failure])
    with atomic_path(out / "buildings.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    content = {label: [asdict(row) for row in found] for label, found in rows.items()}
    with atomic_path(out / "buildings_scores.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _text(name: str, value: float | None) -> str:
    if value is None:
        return ""
    digits = _DIGITS.get(name, _DIGITS.get(name.split()[0], 1))
    return f"{value:,.{digits}f}"


def _lines(table: Sequence[Sequence[str]]) -> str:
    header, *body = table
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
