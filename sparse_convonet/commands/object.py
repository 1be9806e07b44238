"""Turn what was observed of one object into a mesh: mesh.ply, mesh.off, preview.png and report.json in --out.

The input is normalised to the unit cube in which the network was trained, and the mesh is written in the frame and the
units of the input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "chair.ply --model runs/plane3_64/best.safetensors --out out/chair",
    "lamp.xyz --model runs/onet/best.safetensors --up z --points 3000 --cells 64 --out out/lamp",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.points is not None and options.points < 1:
        raise ValueError(f"--points: expected at least 1, found {options.points}")
    if not 8 <= options.cells <= 1024:
        raise ValueError(f"--cells: expected 8 to 1024, found {options.cells}; 128 is as published")
    if options.tau is not None and not 0 < options.tau < 1:
        raise ValueError(f"--tau: expected a probability between 0 and 1, found {options.tau:g}")
    with starting():
        from sparse_convonet.commands.devices import chosen_device
        from sparse_convonet.scan.messages import show_messages
        from sparse_convonet.scan.object_run import ObjectRequest, reconstruct_object

    show_messages("sparse_convonet.scan.object_run")
    reconstruct_object(
        ObjectRequest(
            options.input,
            options.out,
            options.model,
            up=options.up,
            points=options.points,
            cells=options.cells,
            threshold=options.tau,
            device=chosen_device(options.device),
            seed=options.seed,
            overwrite=options.overwrite,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("object", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("input", type=Path, metavar="INPUT", help="a point cloud or a mesh, which is sampled")
    add("--model", type=Path, required=True, help="weights (.safetensors) of a network of objects: configs/objects")
    add("--out", type=Path, required=True, help="folder for mesh.ply, mesh.off, preview.png and report.json")
    add("--up", choices=["x", "y", "z"], default="y", help="the axis that points up in the input")
    add("--points", type=int, help="shown to the network; default: as many as it was trained with")
    add("--cells", type=int, default=128, help="of the mesh along the padded cube")
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the weights")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--seed", type=int, default=0, help="of the choice of points, and for sampling points on input meshes")
    add("--overwrite", action="store_true", help="replace an existing result")
    return parser
