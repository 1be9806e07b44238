"""Turn the folder of ScanNet v2 scans into a data set in the format of Convolutional Occupancy Networks.

Each scan is aligned to the axes and sampled uniformly by area with normals: <out>/scenes/<id>/pointcloud.npz in the
unit cube, y up, with NYU40 classes as semantics where <id>_vh_clean_2.labels.ply is there.

--metres (default) adds frame.json, which says where the cube stands and how large it is, and keeps float32: for models
that work in metres, and to measure in centimetres.  --unit leaves frame.json out and rounds to float16, as the
published files are: every scan then counts as a cube of side 1, which is how a model that was trained on rooms in the
unit cube meets ScanNet in the papers' table.  The published files come from --mesh vh_clean and are mirrored; these
are not.

Run it once for scans and once for scans_test with the same --out; the lists grow.  A run that was stopped goes on
where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.data.preparing import add_preparing_options, official_splits, prepare, show_warnings
from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.data.sets.prepared import require_apart
from sparse_convonet.data.sets.scan_surface import Drawing
from sparse_convonet.data.sets.scannet import CATEGORY, LISTS, TITLE, find_scenes, scene_models

EXAMPLES = (
    "/data/scannet/scans --out data/scannet",
    "/data/scannet/scans_test --out data/scannet",
    "/data/scannet/scans --out data/scannet_unit --unit --mesh vh_clean",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    show_warnings()
    require_apart(options.scans, options.out)
    drawing = Drawing(options.points, options.files, options.seed, metres=not options.unit)
    splits = official_splits(options, LISTS, folders_above=1)
    models = scene_models(options.scans, find_scenes(options.scans), splits, drawing, options.mesh)
    prepare(options, CATEGORY, TITLE, models, "scene", lists_missing=None if splits.files else LISTS)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data scannet", __doc__, EXAMPLES)
    add = parser.add_argument
    add("scans", type=Path, help="the folder scans, with scene0000_00/scene0000_00_vh_clean_2.ply, ...")
    add_preparing_options(parser, "scene", points=100_000, points_help="; default 100000")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--metres", action="store_true", help="with frame.json, float32 (default)")
    size.add_argument("--unit", action="store_true", help="as published: no size, float16")
    add("--splits", type=Path, nargs="+", help="folder with scannetv2_train.txt, ..., or such files; "
        "default: the scans' folder or its parent")  # fmt: skip
    add("--mesh", choices=("vh_clean_2", "vh_clean"), default="vh_clean_2", help="default vh_clean_2; vh_clean is "
        "finer and several times larger, and has no labels")  # fmt: skip
    return parser
