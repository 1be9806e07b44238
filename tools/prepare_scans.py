"""Turn a folder of scans of any format into a data set in the format of Convolutional Occupancy Networks.

Each point cloud or mesh in the folder becomes <out>/scans/<name>/pointcloud.npz in the unit cube, y up, float32, with
frame.json, which leads back to metres (z up).  Meshes are sampled uniformly by area with normals; clouds keep their
points, at most --points of them, and their normals if they have any.

A run that was stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from pathlib import Path

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from sparse_convonet.data.prepared import prepare_models
    from sparse_convonet.data.scan_folder import CATEGORY, TITLE, find_files, scan_models
    from sparse_convonet.data.scan_surface import Drawing


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("sparse_convonet.data.scan_folder").setLevel(logging.INFO)
    drawing = Drawing(options.points, options.files, options.seed)
    up = None if options.up == "auto" else options.up
    models = scan_models(find_files(options.folder), drawing, up, options.scale)
    with tqdm(total=len(models), unit="scan") as bar, logging_redirect_tqdm():
        outcome = prepare_models(
            options.out,
            CATEGORY,
            TITLE,
            models,
            overwrite=options.overwrite,
            skip_broken=options.skip_broken,
            finished=bar.update,
        )
    print("\n".join([f"{options.out / CATEGORY}:", *outcome.lines()]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path, help="folder with .ply, .las, .laz, .e57, .pcd, .obj, ... files")
    add("--out", type=Path, required=True, help="folder of the data set")
    add(
        "--up", choices=("auto", "x", "y", "z"), default="auto", help="the scans' axis that points up; default: guessed"
    )
    add("--scale", type=float, help="metres in one unit of the files (0.001 for millimetres); default: 1, refused "
        "where the size of a scan says otherwise")  # fmt: skip
    add("--points", type=int, default=500_000, help="in each file, at most; default 500000")
    add("--files", type=int, default=1, help="files of points per scan; default 1")
    add("--seed", type=int, default=0)
    add("--skip-broken", action="store_true", help="leave out files that cannot be read, and name them")
    add("--overwrite", action="store_true", help="make models again that are there")
    return parser


if __name__ == "__main__":
    run_tool(main)
