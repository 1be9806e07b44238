"""Scan the mesh of any building virtually: find free stations or a walk in it, and write what a scanner sees."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "house.ply --out scan.ply",
    "house.glb --up y --out scan.ply --points 2000000 --noise-cm 0.5",
    "house.ply --out walk.ply --mode walk",
    "house.ply --out scan.npz",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out} exists already; pass --overwrite to replace it")
    if options.points < 1:
        raise ValueError(f"--points: expected at least 1, found {options.points}")
    with starting():
        from sparse_convonet.commands.scanning import scan_mesh

    scan_mesh(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("scan", __doc__, EXAMPLES)
    parser.add_argument("mesh", type=Path, help="mesh of a building, in metres; need not be watertight")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="points to write in the frame of the mesh: .ply, .xyz, .las, .laz, or .npz, which also says where the scanner "
        "stood",
    )
    parser.add_argument("--mode", choices=("stations", "walk"), default="stations")
    parser.add_argument("--noise-cm", type=float, default=1.0, help="standard deviation of the range; default 1")
    parser.add_argument("--points", type=int, default=500_000, help="points to write; default 500000")
    parser.add_argument("--max-range-m", type=float, default=20.0, help="reach of the scanner; default 20")
    parser.add_argument("--spacing-m", type=float, default=2.0, help="least distance of two stations; default 2")
    parser.add_argument("--up", choices=UP_AXES, default="z", help="the mesh's axis that points up")
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace --out where it exists")
    return parser
