"""Measure how far a model's reconstructions are from the truth, by density, noise and voxel size, and fit the law by
which voxel sizes are chosen.  What was measured is kept: a second call goes on where the first one ended."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    import argparse
    import hashlib
    import json
    import logging
    import math
    import time
    from collections.abc import Sequence
    from dataclasses import asdict
    from pathlib import Path

    import numpy as np

    from sparse_convonet.commands.parsing import SentenceParser
    from sparse_convonet.config.pretrained import DEFAULT_MODEL
    from sparse_convonet.data.furniture.library import FurnitureLibrary
    from sparse_convonet.evaluation.error_fit import fit_error_law
    from sparse_convonet.evaluation.sides import reconstruction_of
    from sparse_convonet.evaluation.voxel_sizes import ErrorRow, MeasuredScene, Observation, measure
    from sparse_convonet.model.weights import load_model, weights_path
    from sparse_convonet.runtime.atomic import atomic_path

logger = logging.getLogger("fit_voxel_sizes")

SCENES = (
    MeasuredScene("building", 0),
    MeasuredScene("large", 1006),  # a furnished hall
    MeasuredScene("building", 1),
    MeasuredScene("large", 1009),  # a hall
)
PER_M2 = (10.0, 30.0, 100.0, 300.0, 1000.0, 4000.0, 20_000.0)
NOISE_M = (0.002, 0.006, 0.015, 0.035)
# Scans take turns with these: half a dozen of each density at every size say as much as all sizes of every scan.
VOXEL_SIZES_M = ((0.04, 0.06, 0.10), (0.03, 0.05, 0.08), (0.02, 0.04, 0.12))
QUICK = ((MeasuredScene("building", 0),), (100.0, 1000.0), (0.01,), ((0.06, 0.12),))
_DENSE_PER_M2 = 10_000.0  # from here on one scene is enough: it takes minutes, and the model takes 8 points of a voxel
_MOST_NOISE_PER_VOXEL = 1.0  # with more there are only crumbs, which take long

Task = tuple[MeasuredScene, Observation, float, float, tuple[float, ...]]


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("sparse_convonet").setLevel(logging.WARNING)
    model = load_model(options.model)
    weights = weights_path(options.model)
    head = {"model": model.name, "weights": hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}
    rows = _read_rows(options.rows, head)
    library = FurnitureLibrary.load().split("val")
    started = time.monotonic()
    tasks = _left(_tasks(options.quick), rows)
    logger.info("%d rows from %s, %d scans to measure", len(rows), options.rows, len(tasks))
    reconstruct = reconstruction_of(model)
    for number, (scene, observation, per_m2, noise_m, sizes) in enumerate(tasks):
        if time.monotonic() - started > options.minutes * 60:
            logger.info("%d scans are left: the time is up", len(tasks) - number)
            break
        rows += measure(reconstruct, scene, observation, per_m2, noise_m, sizes, library)
        _write_rows(options.rows, head, rows)
        logger.info(
            "%d of %d: %s, %s, %g per m2, noise %g mm, %.0f s",
            number + 1, len(tasks), scene.name, observation, per_m2, noise_m * 1000, time.monotonic() - started,
        )  # fmt: skip
    law = fit_error_law(rows, f"{head['model']} ({head['weights']})", "python tools/fit_voxel_sizes.py")
    law.save(options.out)
    logger.info("%s", _summary(rows))
    logger.info("%s: %d rows, half of them within %.0f %% of the law", options.out, law.rows, 100 * law.misfit)


def _tasks(quick: bool) -> list[Task]:
    """All scans, in an order whose first part already covers the whole range."""
    scenes, densities, noises, sizes = QUICK if quick else (SCENES, PER_M2, NOISE_M, VOXEL_SIZES_M)
    tasks: list[Task] = []
    for number, scene in enumerate(scenes):
        for row, per_m2 in enumerate(densities):
            if number and per_m2 >= _DENSE_PER_M2:
                continue
            for column, noise_m in enumerate(noises):
                observation: Observation = "walk" if (number // 2 + row + column) % 2 else "station"
                turn = sizes[(number + row + column) % len(sizes)]
                kept = tuple(size for size in turn if noise_m <= _MOST_NOISE_PER_VOXEL * size)
                tasks.append((scene, observation, per_m2, noise_m, kept))
    order = np.random.default_rng(0).permutation(len(tasks))
    return [tasks[index] for index in order]


def _left(tasks: Sequence[Task], rows: Sequence[ErrorRow]) -> list[Task]:
    """The tasks with the voxel sizes that have no row yet, without those that have none left."""
    done = {(row.scene, row.observation, row.per_m2, row.noise_m, row.voxel_size_m) for row in rows}
    left = []
    for scene, observation, per_m2, noise_m, sizes in tasks:
        missing = tuple(size for size in sizes if (scene.name, observation, per_m2, noise_m, size) not in done)
        if missing:
            left.append((scene, observation, per_m2, noise_m, missing))
    return left


def _read_rows(path: Path, head: dict[str, str]) -> list[ErrorRow]:
    if not path.exists():
        return []
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    if json.loads(first) != head:
        raise ValueError(f"{path}: expected rows of {head}, found those of {first}; name another file with --rows")
    return [ErrorRow.from_mapping(json.loads(line)) for line in rest]


def _write_rows(path: Path, head: dict[str, str], rows: Sequence[ErrorRow]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(head), *(json.dumps(asdict(row)) for row in rows)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _summary(rows: Sequence[ErrorRow]) -> str:
    """Means over the rows by density and voxel size, as a table of Markdown: error in mm, holes, wrong side."""
    sizes = sorted({row.voxel_size_m for row in rows})
    lines = [
        "| points per m2 | " + " | ".join(f"{100 * size:g} cm" for size in sizes) + " |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for per_m2 in sorted({row.per_m2 for row in rows}):
        cells = []
        for size in sizes:
            found = [row for row in rows if (row.per_m2, row.voxel_size_m) == (per_m2, size)]
            means = [[1000 * row.mean_m, 100 * row.holes, 100 * row.wrong_side] for row in found]
            cells.append("{:.0f} mm, {:.0f} %, {:.0f} %".format(*np.mean(means, axis=0)) if found else "")
        lines.append(f"| {per_m2:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = SentenceParser(description=__doc__)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a shipped model or a .safetensors file")
    parser.add_argument("--rows", type=Path, default=Path("out/voxel_sizes.jsonl"), help="what was measured")
    parser.add_argument("--out", type=Path, required=True, help="the law; the shipped one is "
                        "sparse_convonet/pretrained/voxel_errors.json")  # fmt: skip
    parser.add_argument("--minutes", type=float, default=math.inf, help="measure at most so long; default: all of it")
    parser.add_argument("--quick", action="store_true", help="two tiny scans, to see that it runs")
    return parser


if __name__ == "__main__":
    run_tool(main)
