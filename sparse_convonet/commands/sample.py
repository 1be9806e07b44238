"""Make new shapes with a generative network: shape_000.ply ... and contact_sheet.png in --out.

Shapes are those of codes drawn at random.  With --between, they are those on the way from one model of a data set to
another (<class>/<model> folders with points.npz), or, without folders, from one random code to another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "16 --model runs/vae/best.safetensors --out out/shapes",
    "8 --model runs/vae/best.safetensors --between --seed 3 --out out/way",
    "6 --model runs/vae/best.safetensors --between objects/03001627/00000000 objects/03001627/00000001 --out out/way",
)
_MOST_SHAPES = 1000


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    least = 1 if options.between is None else 2
    if not least <= options.count <= _MOST_SHAPES:
        raise ValueError(f"N: expected {least} to {_MOST_SHAPES} shapes, found {options.count}")
    if options.between is not None and len(options.between) not in (0, 2):
        raise ValueError(f"--between: expected two folders of models, or none, found {len(options.between)}")
    if not 8 <= options.cells <= 1024:
        raise ValueError(f"--cells: expected 8 to 1024, found {options.cells}; 128 is as published")
    if options.tau is not None and not 0 < options.tau < 1:
        raise ValueError(f"--tau: expected a probability between 0 and 1, found {options.tau:g}")
    with starting():
        from sparse_convonet.commands.sampling import sample_shapes

    sample_shapes(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("sample", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("count", type=int, metavar="N", help="shapes to make")
    add("--model", type=Path, required=True, help="weights (.safetensors) of a network of configs/generative")
    add("--out", type=Path, required=True, help="folder for the meshes and the sheet")
    add("--between", type=Path, nargs="*", metavar="MODEL", help="from one shape to another: two folders, or none")
    add("--cells", type=int, default=128, help="of the meshes along the padded cube")
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the weights")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--seed", type=seed, default=0, help="of the random codes")
    add("--overwrite", action="store_true", help="replace an existing result")
    return parser
