"""Render meshes from all around, as the pictures of Choy et al. (2016): img_choy2016 with 000.jpg ... and cameras.npz.

PATH is a mesh in the unit cube, y up, whose pictures go to --out, or a data set whose models have a mesh.off, such as one
of sparse-convonet data objects, whose pictures go into each model's folder.  Models that have pictures are left alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "data/objects",
    "chair.off --out chair/img_choy2016 --views 24 --pixels 224",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for name, least, most in (("views", 1, 1000), ("pixels", 16, 4096)):
        if not least <= getattr(options, name) <= most:
            raise ValueError(f"--{name}: expected {least} to {most}, found {getattr(options, name)}")
    if not options.path.exists():
        raise FileNotFoundError(f"{options.path} does not exist; check the path")
    if options.path.is_dir() == (options.out is not None):
        raise ValueError("--out: expected a folder for the pictures of one mesh, and none for those of a data set")
    with starting():
        from sparse_convonet.commands.data.rendering import render_views

    render_views(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data views", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("path", type=Path, help="a mesh, or the folder of a data set")
    add("--out", type=Path, help="folder for the pictures of one mesh")
    add("--views", type=int, default=24, help="pictures of each mesh")
    add("--pixels", type=int, default=137, help="along both sides of a picture")
    add("--seed", type=seed, default=0, help="of the places of the cameras")
    add("--overwrite", action="store_true", help="replace pictures that are there")
    return parser
