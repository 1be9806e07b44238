"""Score meshes of whole buildings, by any method, on the benchmark that `sparse-convonet data buildings` makes.

Each folder of MESHES is a row: <folder>/<building>/<scan>.ply, in the frame of the truth.  With --methods the meshes are
made first, each in a process of its own.  Scores are in metres: distances and F-scores of what rays from the stations see,
rays that end on the wrong side, go through holes or meet phantoms, and how much of what no station sees was found.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "my_meshes --data data/buildings --out scores",
    "--methods sparse poisson_scanner --data data/buildings --out scores",
    "--methods sparse=runs/mine/best.safetensors --data data/buildings --buildings generated_00 --out scores",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if not options.meshes and not options.methods:
        raise ValueError("expected folders of meshes or --methods to make them, found neither; name some")
    for name, value in (("--memory", options.memory), ("--time-limit", options.time_limit)):
        if value is not None and not value > 0:
            raise ValueError(f"{name}: expected a positive number, found {value:g}")
    with starting():
        from sparse_convonet.commands.evaluating_buildings import evaluate_buildings

    evaluate_buildings(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("evaluate buildings", __doc__, EXAMPLES)
    add = parser.add_argument
    add("meshes", nargs="*", type=Path, metavar="MESHES", help="folders of meshes, each a row")
    add("--data", type=Path, required=True, help="folder that sparse-convonet data buildings made")
    add(
        "--out",
        type=Path,
        required=True,
        help="folder for the tables, and for meshes/<method>; a stopped run goes on there",
    )
    add("--methods", nargs="+", default=[], metavar="NAME[=MODEL]", help="also make the meshes, with: sparse, sparse_5cm, "
        "sparse_8cm, sparse_told (where the scanner stood), sparse_twice (two encodings), sparse_told_twice, dense_window, "
        "and poisson_ or trimmed_ with normals true, scanner or estimated; a model by its name or file")  # fmt: skip
    add("--buildings", nargs="+", metavar="NAME", help="only these of the set; default: all")
    add("--memory", type=float, metavar="GB", help="most that a process may hold; default: no limit")
    add("--time-limit", type=float, default=900.0, metavar="S", help="most that one mesh may take, s (default 900)")
    return parser
