"""Validation IoU of a trained model: unseen rooms by the papers' observation, and crops of scanned buildings.

With --sides also whether it puts surfaces on the room's side of the points, in empty halls with exact walls and in
generated buildings with tall spaces: of rays from inside, the share that first meets the mesh more than 0.4 voxels before
the true surface (wrong side), more than 10 cm behind it (holes), and more than 20 cm before it (phantoms).
"""

from __future__ import annotations

import argparse

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.evaluation.usual_halls import DEFAULT_HALLS, DEFAULT_VOXELS_M
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "building_wide",
    "runs/building/best.safetensors --split test --scenes 64",
    "building_wide --sides --halls 12x0 20x4 --voxels-cm 4 8",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if min(options.voxels_cm) <= 0:
        raise ValueError(f"--voxels-cm: expected positive numbers, found {min(options.voxels_cm):g}")
    if options.sides and not (options.halls or options.buildings > 0):
        raise ValueError("--sides: expected a hall or a building, found none; name some with --halls or --buildings")
    if options.scenes < 2:
        raise ValueError(f"--scenes: expected at least 2, found {options.scenes}")
    with starting():
        from sparse_convonet.commands.validating import validate_model

    validate_model(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("validate", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("model", nargs="?", default=DEFAULT_MODEL, help="name of a shipped model, or a .safetensors file")
    add("--split", default="val", choices=["train", "val", "test"], help="of the furniture")
    add("--scenes", type=int, default=32, help="rooms; half as many crops of buildings")
    add("--engine", choices=["auto", "minkowski", "native"], help="default: the model's")
    add("--device", default="cpu")
    add("--sides", action="store_true", help="measure sides of surfaces as well, which takes minutes")
    add(
        "--halls",
        nargs="*",
        default=list(DEFAULT_HALLS),
        metavar="HALL",
        help="of --sides: LENGTHxHEIGHT or LENGTHxWIDTHxHEIGHT in metres; height 0: a floor alone",
    )
    add("--buildings", type=int, default=1, help="of --sides: generated ones, with a hall")
    add(
        "--voxels-cm",
        type=float,
        nargs="+",
        default=[100 * voxel for voxel in DEFAULT_VOXELS_M],
        metavar="CM",
        help="of --sides: voxel sizes",
    )
    return parser
