"""Turn a scan of a building into one mesh: mesh.ply, a light mesh.glb, preview.png and report.json in --out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.coordinates import UP_AXES
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "scan.laz --out out/hall",
    "east.e57 west.e57 --out out/hall --voxel-size 0.05 --simplify 5mm",
    "campus.las --out out/campus --memory 4GB --tiles",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.threads is not None and options.threads < 1:
        raise ValueError(f"--threads: expected at least 1, found {options.threads}; leave it away for all")
    faces, error_mm = simplification(options.simplify)
    if options.surface == "inner" and (options.known_only or options.observed_only is not None):
        found = "--known-only" if options.known_only else "--observed-only"
        raise ValueError(f"--surface inner: expected no {found} beside it, found both; give one: inner is the stricter")
    reach_voxels, reach_m = observed_reach(options.observed_only, known_only=options.known_only)
    with starting():
        import torch

        from sparse_convonet.plan.plan import memory_amount
        from sparse_convonet.plan.settings import ReconstructionSettings
        from sparse_convonet.runtime.devices import chosen_device
        from sparse_convonet.scan.messages import show_messages
        from sparse_convonet.scan.run import ScanRequest, reconstruct_scan

    show_messages()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    settings = ReconstructionSettings(
        voxel_size_m=options.voxel_size,
        cell_size_m=options.cell_size,
        threshold=options.tau,
        twice=options.twice,
        carve=not options.no_carve,
        surface=options.surface,
        observed_only_voxels=reach_voxels,
        observed_only_m=reach_m,
        smallest_piece_m2=options.smallest_piece,
        simplify_faces=faces,
        simplify_error_mm=error_mm,
        refine_steps=options.refine,
        memory_bytes=None if options.memory is None else memory_amount(options.memory),
    )
    request = ScanRequest(
        options.inputs,
        options.out,
        settings,
        up=None if options.up == "auto" else options.up,
        scale=options.scale,
        stations=[station(text) for text in options.station],
        trajectory=options.trajectory,
        keep_ghosts=options.keep_ghosts,
        keep_outliers=options.keep_outliers,
        removed=options.removed,
        model=options.model,
        engine=options.engine,
        device=chosen_device(options.device),
        seed=options.seed,
        columns=None if options.columns is None else options.columns.split(","),
        crs=options.crs,
        overwrite=options.overwrite,
        work=options.work,
        cluster=options.cluster,
        tiles=options.tiles,
        light=light_formats(options.formats),
        light_error_m=light_error_m(options.light_error),
        page=options.page,
        pictures=options.pictures,
        texture=options.texture,
        attributes=attribute_names(options.attributes),
        floor_plan=options.floor_plan,
    )
    reconstruct_scan(request)


def simplification(text: str | None) -> tuple[int | None, float | None]:
    """'200000' -> faces; '5mm' -> error in mm."""
    if text is None:
        return None, None
    try:
        return (None, float(text[:-2])) if text.endswith("mm") else (int(text), None)
    except ValueError as error:
        raise ValueError(
            f"--simplify: expected a number of faces (200000) or an error (5mm), found {text!r}"
        ) from error


def observed_reach(text: str | None, *, known_only: bool) -> tuple[float | None, float | None]:
    """'2.5' -> voxels; '20cm' -> metres."""
    if known_only:
        if text is not None:
            raise ValueError("--known-only: expected no --observed-only beside it, found both; give one")
        from sparse_convonet.mesh.point_support import OBSERVED_VOXELS

        return OBSERVED_VOXELS, None
    if text is None:
        return None, None
    try:
        return (None, float(text[:-2]) / 100) if text.endswith("cm") else (float(text), None)
    except ValueError as error:
        raise ValueError(f"--observed-only: expected voxels (2.5) or centimetres (20cm), found {text!r}") from error


def light_formats(text: str) -> list[str]:
    """'ply, glb' -> those of the light mesh, each once: mesh.ply is written whatever is asked for."""
    names = dict.fromkeys(name.strip() for name in text.lower().split(","))
    return [name for name in names if name != "ply"]


def attribute_names(text: str | None) -> list[str]:
    """'intensity, classification' -> each once."""
    if text is None:
        return []
    names = [name for name in dict.fromkeys(name.strip() for name in text.split(",")) if name]
    if not names:
        raise ValueError(
            f"--attributes: expected names such as intensity,classification, found {text!r}; leave it away"
        )
    return names


def light_error_m(text: str | None) -> float | None:
    """'5mm' -> metres."""
    if text is None:
        return None
    try:
        return float(text.removesuffix("mm")) / 1000
    except ValueError as error:
        raise ValueError(
            f"--light-error: expected an error in mm (5mm), found {text!r}; leave it away for a quarter of a cell"
        ) from error


def station(text: str) -> tuple[float, float, float]:
    """'1.5,0,2' -> where a scanner stood."""
    wrong = f"--station: expected X,Y,Z such as 1.5,0,2, found {text!r}; leave it away where the place is not known"
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(wrong) from error
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(wrong)
    return x, y, z


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("reconstruct", __doc__, EXAMPLES, defaults_shown=True)
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="point clouds, meshes or a Matterport3D scan folder")
    add("--out", type=Path, required=True, help="folder for mesh.ply, mesh.glb, preview.png and report.json")
    add(
        "--model",
        default=DEFAULT_MODEL,
        help=f"name of a shipped model (default {DEFAULT_MODEL}), or a .safetensors file",
    )
    add("--voxel-size", type=float, help="metres; default: from the density of the points")
    add("--cell-size", type=float, help="metres; default: half a voxel")
    add(
        "--up",
        default="auto",
        choices=["auto", *UP_AXES],
        help="the axis that points up in the scan; -y: y points down",
    )
    add(
        "--scale",
        type=float,
        help="metres per unit of the scan (0.001 for millimetres); default: what its files declare, else 1, if likely",
    )
    add(
        "--station",
        action="append",
        default=[],
        metavar="X,Y,Z",
        help="where the scanner stood, in the frame and units of the scan, instead of what files say: once, or once for "
        "each input",
    )
    add(
        "--trajectory",
        type=Path,
        metavar="FILE",
        help="where a scanner was that moved: text with t x y z in each line, of the same clock as the GPS times of LAS",
    )
    add(
        "--keep-ghosts",
        action="store_true",
        help="keep points that rays from elsewhere passed through (people who walked by, reflections); default: they are "
        "left out where it is known where the scanner stood",
    )
    add(
        "--keep-outliers",
        action="store_true",
        help="keep points strewn through space (rain, dust, bad matches); default: they are left out where there are many",
    )
    add(
        "--twice",
        action="store_true",
        help="encode the scan twice, with voxels moved by half a voxel, and take the mean: better, in about a third "
        "more time",
    )
    add(
        "--no-carve",
        action="store_true",
        help="keep surface in space that the rays of the scanner passed; default: it goes where it is known where the "
        "scanner stood",
    )
    add(
        "--removed",
        action="store_true",
        help="also write the points that were left out as ghosts or outliers: removed.ply",
    )
    add(
        "--columns",
        metavar="x,y,z,...",
        help="what the columns of a table (text, .npy) are, where it has no names: x y z, r g b, nx ny nz, - for others",
    )
    add(
        "--attributes",
        metavar="NAME,...",
        help="numbers of the points that mesh.ply takes over, such as intensity,classification: of LAS, LAZ, E57, PLY, PCD "
        "and tables whose columns have headings",
    )
    add("--crs", metavar="EPSG:CODE", help="coordinate system of the scan; default: what LAS and E57 files declare")
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the model")
    add(
        "--surface",
        default="closed",
        choices=["closed", "inner"],
        help="closed: what was not scanned is guessed; inner: only the sides that points show, open behind them: an outer "
        "wall that was scanned from inside is one face, a wall between two scanned rooms keeps both",
    )
    add(
        "--observed-only",
        metavar="VOXELS|CM",
        help="cut surface farther than this from every point: voxels (2.5) or centimetres (20cm)",
    )
    add(
        "--known-only",
        action="store_true",
        help="cut surface farther than 2 voxels from every point: it was guessed (backs of thin walls are nearer and stay)",
    )
    add(
        "--smallest-piece",
        type=float,
        metavar="M2",
        help="remove pieces of less surface; default: 0.1, and 2 if few points show it",
    )
    add("--simplify", metavar="FACES|MM", help="a number of faces (200000), or an error in mm (5mm)")
    add(
        "--formats",
        default="ply,glb",
        metavar="LIST",
        help="ply: mesh.ply, always written; glb, obj, stl, usd: a light mesh, with few faces where the surface is flat",
    )
    add(
        "--light-error",
        metavar="MM",
        help="error that the light mesh may have (5mm), kept by 95 %% of it, not by all; default: a quarter of a cell",
    )
    add("--page", action="store_true", help="also write page.html: the result to look at in a browser, in one file")
    add(
        "--pictures",
        action="store_true",
        help="also write a picture of every storey, storey_1.png, ..., and of the building cut upright, section.png; has "
        "mesh.glb written",
    )
    add(
        "--texture",
        type=int,
        nargs="?",
        const=4096,
        metavar="TEXELS",
        help="also write mesh_textured.glb: the light mesh with the colours of the points as a picture of at most so many "
        "texels along a side (without a number: 4096)",
    )
    add(
        "--floor-plan",
        action="store_true",
        help="also write a plan of every storey: floor_plan_1.svg, ..., floor_plan.dxf and rooms.json",
    )
    add("--refine", type=int, default=0, metavar="STEPS", help="steps that move vertices onto the surface")
    add(
        "--memory",
        metavar="AMOUNT",
        help="what the run may take (4GB): beyond, it goes through the disk, in tiles; default: most of what is available",
    )
    add(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="go through the disk: where points and tiles are kept meanwhile; default: work in --out",
    )
    add(
        "--cluster", metavar="local|ADDRESS", help="do the tiles on a Ray cluster: one started here, or HOST:PORT, auto"
    )
    add("--tiles", action="store_true", help="also write the mesh as 3D Tiles: a folder of .glb files and tileset.json")
    add("--engine", choices=["auto", "minkowski", "native"], help="sparse convolution engine; default: the model's")
    add("--device", default="auto", help="auto, cpu, cuda, ...")
    add("--threads", type=int, help="CPU threads; default: all")
    add("--seed", type=seed, default=0, help="for sampling points on input meshes")
    add("--overwrite", action="store_true", help="replace an existing result")
    return parser
