"""Put methods side by side on the same scans: scores, parameters, time and memory, pictures, growth with floor area."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from pathlib import Path

from sparse_convonet.commands.parsing import PROGRAM, command_parser, seed
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.evaluation.published import PUBLISHED_CELLS
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "building_wide configs/rooms/poisson_trimmed.yaml --data scan.laz --out out/scan",
    "runs/sparse64/best.safetensors configs/rooms/grid64.yaml --data /data/rooms --limit 2 --out out/rooms",
    "building_wide configs/buildings/dense_crop.yaml --random-weights --areas 50 100 200 --out out/growth",
)


def main(arguments: list[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if options.data is None and not options.areas:
        raise ValueError("expected scans to compare on, found none; name --data or --areas")
    if not options.voxel_size > 0:
        raise ValueError(
            f"--voxel-size: expected a positive number of metres, found {options.voxel_size:g}; 0.05 is 5 cm"
        )
    if options.scale is not None and not 0 < options.scale < float("inf"):
        raise ValueError(f"--scale: expected a positive number of metres per unit, found {options.scale:g}")
    if options.areas and min(options.areas) < 40:
        raise ValueError(f"--areas: expected 40 m2 or more, found {min(options.areas):g}; smaller plans have no rooms")
    with starting():
        from sparse_convonet.commands.comparing import compare

    compare(options, shlex.join([PROGRAM, "compare", *given]))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("compare", __doc__, EXAMPLES)
    add = parser.add_argument
    add("configs", nargs="+", type=Path, metavar="CONFIG", help="configurations, .safetensors files, shipped models")
    add("--out", type=Path, required=True, help="folder for index.html and all it shows; a stopped run goes on there")
    add(
        "--data",
        type=Path,
        help="a data set in the papers' format, a scan, or the mesh of a building to scan virtually",
    )
    add("--areas", type=float, nargs="+", default=[], metavar="M2", help="floor areas of generated buildings for the "
        "growth of time and memory; without --data the smallest is compared on")  # fmt: skip
    add("--checkpoint", nargs="+", type=Path, default=[], help="weights, one file for each configuration that learns; "
        "default: runs/<config>/best.safetensors")  # fmt: skip
    add("--random-weights", action="store_true", help="where there are no weights, measure the cost with random ones")
    add("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    add("--split", default="test", help="of a data set")
    add("--limit", type=int, help="models per class of a data set")
    add("--cells", type=int, default=PUBLISHED_CELLS, help="of meshes along the padded cube of a data set; 0: as the "
        "configurations say (default 128, as published)")  # fmt: skip
    add("--voxel-size", type=float, default=0.08, help="metres, of scans and generated buildings (default 0.08)")
    add("--up", choices=UP_AXES, help="the axis that points up; default: guessed of scans, z of meshes")
    add("--scale", type=float, help="metres per unit of the scan or mesh (0.001 for millimetres); default: what a scan "
        "declares, else 1, if the size is likely")  # fmt: skip
    add("--points", type=int, default=500_000, help="rays of the virtual scan of a mesh")
    add("--pictures", type=int, default=3, help="scenes to draw")
    add("--memory", type=float, metavar="GB", help="most that a process may hold; default: four fifths of what is free")
    add("--time-limit", type=float, default=900.0, metavar="S", help="most that a process may take, s (default 900)")
    add("--device", default="auto", help="auto (default), cpu, cuda, ...")
    add("--threads", type=int, help="CPU threads of each process; default: all")
    add("--seed", type=seed, default=0)
    return parser
