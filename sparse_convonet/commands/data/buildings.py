"""Make the benchmark of whole buildings: true meshes in metres and virtual scans of them.

Generated buildings of two to four storeys, some with halls, and any meshes of buildings that you name (metres, z up).  Each
gets three scans, one of each density (200, 1,000 and 5,000 points on a square metre of what is seen), whose noise (3, 10
and 25 mm) and kind (stations, walk) take turns; or all 18.  `sparse-convonet evaluate buildings` scores meshes of these
scans, by any method.  A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "--out data/buildings",
    "--out data/mine --count 0 --mesh office.ply school.glb --scans all",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if options.count < 0 or options.count + len(options.mesh) < 1:
        raise ValueError(f"--count: expected at least one building, found {options.count} and no --mesh")
    with starting():
        from sparse_convonet.evaluation.buildings.making import describe_set, make_set

    made = make_set(options.out, options.count, options.mesh, options.scans, print)
    print(f"{options.out}: {describe_set(made)}")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data buildings", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the set; a new one, or one that this command began")
    add("--count", type=int, default=12, help="generated buildings")
    add("--mesh", type=Path, nargs="+", default=[], help="meshes of buildings, in metres, z up; need not be watertight")
    add("--scans", choices=("some", "all"), default="some", help="of each building: three that take turns, or all 18")
    return parser
