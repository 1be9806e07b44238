"""Turn the folder of Matterport3D scans (v1/scans) into a data set in the format of Convolutional Occupancy Networks.

Each building, floor or region (room) is sampled uniformly by area with normals: <out>/matterport3d/<model>/ with
pointcloud.npz in the unit cube, y up, float32, and frame.json, which leads back to metres.  Models are called <id>,
<id>_floor0 (the lowest) or <id>_region3.  Archives are read as they were downloaded, without unpacking them.

Run it for several parts or scans with the same --out; the lists grow.  A run that was stopped goes on where it was
when the same command is given again.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from sparse_convonet.commands.data.preparing import add_preparing_options, official_splits, prepare, show_warnings
from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.data.sets.matterport_regions import CATEGORY, LISTS, POINTS, TITLE, find_scans, scan_models
from sparse_convonet.data.sets.prepared import PreparedModel, read_or_skip, require_apart
from sparse_convonet.data.sets.scan_surface import Drawing

EXAMPLES = (
    "/data/Matterport3D/v1/scans --out data/matterport",
    "/data/Matterport3D/v1/scans --out data/matterport --part regions --scene 17DRP5sb8fy",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    show_warnings()
    require_apart(options.scans, options.out)
    drawing = Drawing(POINTS[options.part] if options.points is None else options.points, options.files, options.seed)
    splits = official_splits(options, LISTS, folders_above=2)
    broken: dict[str, str] = {}
    models: list[PreparedModel] = []
    for name in find_scans(options.scans, options.scene):
        look = partial(scan_models, options.scans / name, options.part, splits, drawing)
        models += read_or_skip(name, look, broken, skip_broken=options.skip_broken) or []
    lists_missing = None if splits.files else LISTS
    prepare(options, CATEGORY, TITLE, models, "model", broken=broken, lists_missing=lists_missing)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data matterport3d", __doc__, EXAMPLES)
    add = parser.add_argument
    add("scans", type=Path, help="the folder v1/scans, with 17DRP5sb8fy/house_segmentations (or .zip), ...")
    add_preparing_options(parser, "model", points=None, points_help="; default 500000, of regions 100000")
    add("--scene", nargs="+", metavar="ID", help="only these scans; default: all in the folder")
    add("--part", choices=tuple(POINTS), default="building", help="what becomes a model (default building); floors "
        "come from the .house file in house_segmentations")  # fmt: skip
    add("--splits", type=Path, nargs="+", help="folder with scenes_train.txt, ..., or such files; "
        "default: the scans' folder or the two above it")  # fmt: skip
    return parser
