"""Look at a data set in the format of Convolutional Occupancy Networks: counts, measures, and a sheet of pictures.

PATH is a data set (<class>/<model>/...), a class, any folder with models in it, or one model.  Everything is counted;
what needs reading is measured on about 200 models, one file of points and one of queries each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.runtime.cli import starting

_MOST_SAMPLES = 200
EXAMPLES = (
    "data/synthetic_room_dataset",
    "data/synthetic_room_dataset --split test --out sheet.png --samples 24",
    "data/scannet/scenes --json numbers.json",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if not 1 <= options.samples <= _MOST_SAMPLES:
        raise ValueError(f"--samples: expected 1 to {_MOST_SAMPLES}, found {options.samples}")
    for path in (options.out, options.json):
        if path is not None and path.exists() and not options.overwrite:
            raise ValueError(f"{path} exists already; pass --overwrite to replace it")
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    with starting():
        from sparse_convonet.commands.data.inspecting import inspect_data

    inspect_data(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data inspect", __doc__, EXAMPLES)
    add = parser.add_argument
    add("path", type=Path, help="folder of a data set, of a class, or of one model")
    add("--split", help="only the models of this list: train, val, test, ...")
    add("--classes", nargs="+", help="only these classes")
    add("--out", type=Path, help="write a sheet of random models to this PNG")
    add("--samples", type=int, default=12, help=f"models on the sheet, at most {_MOST_SAMPLES}; default 12")
    add("--seed", type=seed, default=0, help="of the choice of models and points")
    add("--json", type=Path, help="also write the numbers to this file")
    add("--overwrite", action="store_true", help="replace --out and --json where they exist")
    return parser
