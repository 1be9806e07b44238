"""Make a data set of single objects from the furniture pack, in the format of Occupancy Networks.

Five classes of ShapeNet; of each, the pieces of the pack as they are, then again stretched and mirrored, until there are
--count.  The splits have pieces of their own: those of test are never trained on.  A model has pointcloud.npz, points.npz,
mesh.off and its voxels, model.binvox; contact_sheet.png shows some of them.  A run that was stopped goes on where it was
when the same command is given again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.data.sets.shape_stock import CLASSES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "--out data/objects",
    "--out data/chairs --classes chair --count 100 --points 20000 --queries 20000",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for name in ("count", "points", "queries", "voxels", "workers", "sheet"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name}: expected at least 1, found {value}")
    with starting():
        from sparse_convonet.commands.data.making_objects import make_objects

    make_objects(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data objects", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set; a new one, or one that this command began")
    add("--classes", nargs="+", choices=sorted(CLASSES.values()), default=sorted(CLASSES.values()), help="of objects")
    add("--count", type=int, default=200, help="models per class, shared out 75 / 5 / 20 %% among train, val and test")
    add("--points", type=int, default=100_000, help="on the surface of a model")
    add("--queries", type=int, default=100_000, help="in the padded cube of a model")
    add("--voxels", type=int, default=32, help="along the cube, of model.binvox")
    add("--furniture", type=Path, help="a pack made by sparse-convonet data furniture; default: the shipped one")
    add("--sheet", type=int, default=24, help="models on the contact sheet, of the test split")
    add("--seed", type=seed, default=0)
    add("--workers", type=int, help="processes; default: one per core")
    return parser
