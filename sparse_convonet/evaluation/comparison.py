"""Methods side by side on the same scans: one row each of scores, parameters, times and memory."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.evaluation.contenders import Contender
from sparse_convonet.evaluation.means import column_means
from sparse_convonet.evaluation.runs import Run, prediction_of
from sparse_convonet.evaluation.scenes import Known
from sparse_convonet.runtime.atomic import atomic_path

ENCODE, MESH, PARAMETERS, MEMORY, CUDA_MEMORY, SEAM = (
    "encode s", "mesh s", "parameters", "peak memory GB", "GPU memory GB", "largest seam",
)  # fmt: skip
_COST = (PARAMETERS, ENCODE, MESH, MEMORY, CUDA_MEMORY, SEAM)
FAILURES = {"time": "not in the time it was allowed", "memory": "not in the memory it was allowed"}


@dataclass(frozen=True)
class ComparisonRow:
    """values: by column; scores are means over classes of the means over their scenes, costs of one scene on average.
    remark: why something is missing, or ""."""

    name: str
    scenes: int
    values: Mapping[str, float | None]
    remark: str


def compare_run(
    contender: Contender, name: str, run: Run, scenes: Sequence[Path], known: Sequence[Known], out: Path
) -> ComparisonRow:
    """Score what a run made.  known: the scenes and their truths, in the order of the stored `scenes`."""
    scored: dict[str, list[Mapping[str, float | None]]] = {}
    costs: list[Mapping[str, float | None]] = []
    trained = contender.has_weights
    for path, (scene, truth) in zip(scenes, known, strict=True):
        prediction = prediction_of(path, out)
        if prediction is None:
            continue
        # Methods without learning have other stages; all but the encoding counts as making the mesh.
        encode = prediction.seconds.get("encode")
        whole = sum(prediction.seconds.values())
        costs.append({ENCODE: encode, MESH: whole - (encode or 0.0), SEAM: prediction.seam})
        if trained:
            scored.setdefault(scene.category, []).append(truth.score(prediction))
    values = column_means([column_means(rows) for rows in scored.values()])
    values |= {
        PARAMETERS: run.parameters,
        MEMORY: None if run.peak_bytes is None else run.peak_bytes / 1e9,
        CUDA_MEMORY: None if run.cuda_bytes is None else run.cuda_bytes / 1e9,
        **column_means(costs),
    }
    remarks = [] if trained else ["random weights: costs only"]
    if contender.config.baseline is not None and values.get("IoU") is not None:
        remarks.append("IoU says little: the surface is not closed, or closed where nothing was seen")
    if run.failure is not None:
        remarks.append(FAILURES.get(run.failure, run.failure))
    return ComparisonRow(name, len(costs), values, "; ".join(remarks))


def columns(rows: Sequence[ComparisonRow]) -> list[str]:
    """Names of all columns that some row has a value in: scores first, then costs."""
    names = dict.fromkeys(name for row in rows for name, value in row.values.items() if value is not None)
    return [*(name for name in names if name not in _COST), *(name for name in _COST if name in names)]


def cells(rows: Sequence[ComparisonRow]) -> list[list[str]]:
    """The table as texts, the header first."""
    names = columns(rows)
    table = [["", "scenes", *names, "remark"]]
    for row in rows:
        table.append([row.name, str(row.scenes), *(_text(name, row.values.get(name)) for name in names), row.remark])
    return table


def _text(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name == PARAMETERS else f"{value:.4g}"


def markdown(rows: Sequence[ComparisonRow]) -> str:
    """The table, numbers to the right."""
    header, *body = cells(rows)
    lines = [" | ".join(header), " | ".join(["---", *["---:"] * (len(header) - 2), "---"])]
    return "\n".join(f"| {line} |" for line in [*lines, *(" | ".join(row) for row in body)]) + "\n"


def write_tables(out: Path, rows: Sequence[ComparisonRow]) -> None:
    """Write comparison.md, and comparison.csv with all digits."""
    with atomic_path(out / "comparison.md") as temporary:
        temporary.write_text(markdown(rows), encoding="utf-8")
    names, text = columns(rows), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "scenes", *names, "remark"])
    for row in rows:
        values = (row.values.get(name) for name in names)
        writer.writerow([row.name, row.scenes, *("" if value is None else value for value in values), row.remark])
    with atomic_path(out / "comparison.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
