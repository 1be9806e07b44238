"""Turn a folder of scans of any format into a data set in the format of Convolutional Occupancy Networks.

Each point cloud or mesh in the folder becomes <out>/scans/<name>/pointcloud.npz in the unit cube, y up, float32, with
frame.json, which leads back to metres (z up).  Meshes are sampled uniformly by area with normals; clouds keep their
points, at most --points of them, and their normals if they have any.

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.data.preparing import add_preparing_options, prepare, show_warnings
from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.data.sets.scan_surface import Drawing
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "~/scans --out data/scans",
    "~/scans --out data/scans --up y --scale 0.001 --skip-broken",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    with starting():
        from sparse_convonet.data.sets.scan_folder import CATEGORY, TITLE, find_files, scan_models

    show_warnings()
    logging.getLogger("sparse_convonet.data.sets.scan_folder").setLevel(logging.INFO)
    drawing = Drawing(options.points, options.files, options.seed)
    up = None if options.up == "auto" else options.up
    models = scan_models(find_files(options.folder), drawing, up, options.scale)
    prepare(options, CATEGORY, TITLE, models, "scan")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data scans", __doc__, EXAMPLES)
    add = parser.add_argument
    add("folder", type=Path, help="folder with .ply, .las, .laz, .e57, .pcd, .obj, ... files")
    add_preparing_options(parser, "scan", points=500_000, points_help=", at most; default 500000")
    add("--up", choices=("auto", *UP_AXES), default="auto", help="the scans' axis that points up; default: guessed")
    add("--scale", type=float, help="metres in one unit of the files (0.001 for millimetres); default: 1, refused "
        "where the size of a scan says otherwise")  # fmt: skip
    return parser
