"""Score a reconstruction against the true mesh, on the surface that a scanner could see from inside."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "out/house/mesh.ply house.ply",
    "out/house/mesh.ply house.ply --threshold-cm 5 2 --voxel-cm 8 --json scores.json",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with starting():
        from sparse_convonet.commands.scoring import score_mesh

    score_mesh(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("score", __doc__, EXAMPLES)
    parser.add_argument("prediction", type=Path, help="reconstructed mesh")
    parser.add_argument("truth", type=Path, help="true mesh in the same frame, metres; need not be watertight")
    parser.add_argument("--rays", type=int, default=400_000, help="rays in all; default 400000")
    parser.add_argument(
        "--threshold-cm", type=float, nargs="+", default=[5.0, 2.5, 1.0], metavar="CM",
        help="of precision and recall, one or more; default 5 2.5 1",
    )  # fmt: skip
    parser.add_argument(
        "--voxel-cm", type=float, default=5.0, metavar="CM",
        help="voxel size of the reconstruction, for the rule that a ray ends on the wrong side where it ends more than "
        "0.4 voxels too early; default 5",
    )  # fmt: skip
    parser.add_argument("--max-range-m", type=float, default=20.0, help="reach of the scanner; default 20")
    parser.add_argument("--spacing-m", type=float, default=2.0, help="as given to sparse-convonet scan; default 2")
    parser.add_argument("--up", choices=UP_AXES, default="z", help="the meshes' axis that points up")
    parser.add_argument("--seed", type=seed, default=0, help="as given to sparse-convonet scan")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    return parser
