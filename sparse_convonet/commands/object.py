"""Turn what was observed of one object into a mesh: mesh.ply, mesh.off, preview.png and report.json in --out.

The input is normalised to the unit cube in which the network was trained, and the mesh is written in the frame and the
units of the input.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "chair.ply --model runs/plane3_64/best.safetensors --out out/chair",
    "sofa.binvox --model runs/voxels_plane3/best.safetensors --out out/sofa",
    "photo.jpg --model runs/images_onet/best.safetensors --out out/photo",
    "floor.bt --model runs/voxels_sparse/best.safetensors --out out/floor",
    "lamp.xyz --model runs/onet/best.safetensors --up z --points 3000 --cells 64 --out out/lamp",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.points is not None and options.points < 1:
        raise ValueError(f"--points: expected at least 1, found {options.points}")
    if options.cells is not None and not 8 <= options.cells <= 1024:
        raise ValueError(f"--cells: expected 8 to 1024, found {options.cells}; 128 is as published")
    if options.tau is not None and not 0 < options.tau < 1:
        raise ValueError(f"--tau: expected a probability between 0 and 1, found {options.tau:g}")
    if options.refine < 0:
        raise ValueError(f"--refine: expected 0 or more steps, found {options.refine}; 30 are as published")
    if options.simplify is not None and options.simplify < 4:
        raise ValueError(f"--simplify: expected at least 4 faces, found {options.simplify}; 5000 are as published")
    with starting():
        from sparse_convonet.reconstruct.sample_mesh import Finishing
        from sparse_convonet.runtime.devices import chosen_device
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
            finishing=Finishing(options.simplify, options.refine, options.seed),
            device=chosen_device(options.device),
            seed=options.seed,
            overwrite=options.overwrite,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("object", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("input", type=Path, metavar="INPUT", help="a point cloud or a mesh; for networks of voxels "
        "also .binvox, boolean .npy or .npz, and OctoMap's .bt and .ot; for networks of pictures .png or .jpg")  # fmt: skip
    add("--model", type=Path, required=True, help="weights (.safetensors) of a network of objects: configs/objects")
    add("--out", type=Path, required=True, help="folder for mesh.ply, mesh.off, preview.png and report.json")
    add("--up", choices=["x", "y", "z"], help="the axis that points up in the input; default: z of an OctoMap, else y")
    add("--points", type=int, help="shown to the network; default: as many as it was trained with")
    add(
        "--cells", type=int, help="of the mesh along the padded cube; default: 128, or half a voxel of maps of any size"
    )
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the weights")
    add("--simplify", type=int, metavar="FACES", help="reduce the mesh to about so many faces")
    add("--refine", type=int, default=0, metavar="STEPS", help="steps of the published refinement, after --simplify")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--seed", type=seed, default=0, help="of the choice of points, and for sampling points on input meshes")
    add("--overwrite", action="store_true", help="replace an existing result")
    return parser
