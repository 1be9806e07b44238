"""Make a data set of rooms or buildings in the format of Convolutional Occupancy Networks.

--scenes papers: the rooms of the paper, in the unit cube: classes rooms_04 ... rooms_08, ten files of points and ten of
queries each.  --scenes rooms, buildings: generated scenes of known size, with a frame.json that says how large they
are.  A run that was stopped goes on where it was when the same command is given again.  --cluster spreads the work over
the machines of a Ray cluster, which must share the folder: see docs/CLUSTER.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.data.sets.paper_rooms import SCALES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "--out data/synthetic_room_dataset",
    "--out data/metric_rooms --scenes rooms --count 200",
    "--out data/metric_buildings --scenes buildings --count 100 --cluster local",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for name in ("count", "points", "queries", "files", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name}: expected at least 1, found {value}")
    if options.plane_density <= 0:
        raise ValueError(f"--plane-density: expected a share above 0, found {options.plane_density}")
    with starting():
        from sparse_convonet.commands.data.making_rooms import make_rooms

    make_rooms(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data rooms", __doc__, EXAMPLES)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set; a new one, or one that this command began")
    add("--scenes", choices=["papers", "rooms", "buildings"], default="papers")
    add("--count", type=int, default=1000, help="models per class, shared out 75 / 5 / 20 %% (default 1000)")
    add("--objects", type=int, nargs="+", choices=sorted(SCALES), default=sorted(SCALES), help="classes of papers")
    add("--plane-density", type=float, default=0.2, help="points on walls and ground in terms of those on objects, "
        "papers only: 0.2 as published (default), 1 for models that will see real scans")  # fmt: skip
    add("--files", type=int, default=10, help="files of points and of queries per model, papers only (default 10)")
    add("--points", type=int, help="per file; default: 100000, 60000 in metric rooms, 500000 in buildings")
    add("--queries", type=int, help="per file; default: 100000, 60000 in metric rooms, 200000 in buildings")
    add("--furniture", type=Path, help="a pack made by sparse-convonet data furniture; default: the shipped one")
    add("--shapes", type=Path, help="watertight ShapeNet (<synset>/2_watertight/*.off, from sparse-convonet data "
        "watertight) instead of furniture, papers only")  # fmt: skip
    add("--lists", type=Path, help="<synset>/train.lst, val.lst, test.lst of --shapes; default: beside the models")
    add("--skip-broken", action="store_true", help="leave out shapes that are on a list and not there")
    add("--seed", type=seed, default=0)
    add("--workers", type=int, help="processes, or models at once on a cluster; default: one per core")
    add("--cluster", metavar="ADDRESS", help="make the models on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto; "
        "local starts Ray on this machine; see docs/CLUSTER.md")  # fmt: skip
    return parser
