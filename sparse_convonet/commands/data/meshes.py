"""Make a data set to train on of a folder of meshes: surfaces, queries with their truth, and the lists of the splits.

Reads ShapeNet v2 and v1 as `data watertight` does, folders of classes, and one folder of .obj, .off, .stl, .ply, ... files.
Closed meshes are taken as they are; of others the closed surface around them is taken, which is said.  Each model fills the
unit cube with its longest side, y up, as in Occupancy Networks: <out>/<class>/<name>/ holds pointcloud.npz, points.npz (for
training) and points_iou.npz (for scores); <out>/<class>/ the lists train.lst, val.lst and test.lst.

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "~/meshes --out data/objects",
    "~/cad --out data/cad --up z --queries 200000",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with starting():
        from tqdm import tqdm

        from sparse_convonet.data.sets.mesh_set import Sampling, make_mesh_set, mesh_jobs
        from sparse_convonet.data.sets.official_splits import SPLITS
        from sparse_convonet.data.sets.prepared import require_apart
        from sparse_convonet.data.sets.shapenet import find_raw_models

    sampling = Sampling(options.points, options.queries, options.up, options.seed)
    require_apart(options.meshes, options.out)
    jobs = mesh_jobs(find_raw_models(options.meshes, options.classes), options.seed)
    with tqdm(total=len(jobs), unit="model") as bar:
        make_mesh_set(jobs, options.out, sampling, workers=options.workers, finished=bar.update)
    for split in SPLITS:
        print(f"{options.out}: {sum(job.split == split for job in jobs)} models in {split}.lst")
    print(f"train on it: sparse-convonet train configs/objects/sparse64.yaml --set data.folder={options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data meshes", __doc__, EXAMPLES)
    add = parser.add_argument
    add("meshes", type=Path, help="folder of meshes, of folders of them (classes), or of ShapeNet")
    add("--out", type=Path, required=True, help="folder for the data set")
    add("--classes", nargs="+", default=(), help="only these: names of folders, or of ShapeNet's classes")
    add("--up", choices=UP_AXES, default="y", help="the meshes' axis that points up; default: y, as in ShapeNet")
    add("--points", type=int, default=100_000, help="on each surface; default 100000")
    add("--queries", type=int, default=100_000, help="for training, and as many for scores; default 100000")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes; default: one per core")
    add("--seed", type=seed, default=0, help="of the splits, points and queries")
    return parser
