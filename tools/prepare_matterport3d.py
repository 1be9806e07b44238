"""Turn the folder of Matterport3D scans (v1/scans) into a data set in the format of Convolutional Occupancy Networks.

Each building, floor or region (room) is sampled uniformly by area with normals: <out>/matterport3d/<model>/ with
pointcloud.npz in the unit cube, y up, float32, and frame.json, which leads back to metres.  Models are called <id>,
<id>_floor0 (the lowest) or <id>_region3.  Archives are read as they were downloaded, without unpacking them.

Run it for several parts or scans with the same --out; the lists grow.  A run that was stopped goes on where it was
when the same command is given again.
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from functools import partial
    from pathlib import Path

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from sparse_convonet.data.matterport_regions import CATEGORY, LISTS, POINTS, TITLE, find_scans, scan_models
    from sparse_convonet.data.official_splits import find_splits, named_splits
    from sparse_convonet.data.prepared import PreparedModel, prepare_models, read_or_skip, require_apart
    from sparse_convonet.data.scan_surface import Drawing


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    require_apart(options.scans, options.out)
    drawing = Drawing(POINTS[options.part] if options.points is None else options.points, options.files, options.seed)
    places = (options.scans, *options.scans.resolve().parents[:2])
    splits = named_splits(LISTS, options.splits) if options.splits else find_splits(LISTS, places)
    broken: dict[str, str] = {}
    models: list[PreparedModel] = []
    for name in find_scans(options.scans, options.scene):
        look = partial(scan_models, options.scans / name, options.part, splits, drawing)
        models += read_or_skip(name, look, broken, skip_broken=options.skip_broken) or []
    with tqdm(total=len(models), unit="model") as bar, logging_redirect_tqdm():
        outcome = prepare_models(
            options.out,
            CATEGORY,
            TITLE,
            models,
            broken=broken,
            overwrite=options.overwrite,
            skip_broken=options.skip_broken,
            finished=bar.update,
        )
    if not splits.files:
        print(f"no lists {LISTS.format('train')}, ... in or beside {options.scans}: all models are on test.lst")
    print("\n".join([f"{options.out / CATEGORY}:", *outcome.lines()]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("scans", type=Path, help="the folder v1/scans, with 17DRP5sb8fy/house_segmentations (or .zip), ...")
    add("--out", type=Path, required=True, help="folder of the data set")
    add("--scene", nargs="+", metavar="ID", help="only these scans; default: all in the folder")
    add("--part", choices=tuple(POINTS), default="building", help="what becomes a model (default building); floors "
        "come from the .house file in house_segmentations")  # fmt: skip
    add("--points", type=int, help="in each file; default 500000, of regions 100000")
    add("--files", type=int, default=1, help="files of points per model; default 1")
    add("--splits", type=Path, nargs="+", help="folder with scenes_train.txt, ..., or such files; "
        "default: the scans' folder or the two above it")  # fmt: skip
    add("--seed", type=int, default=0)
    add("--skip-broken", action="store_true", help="leave out scans that cannot be read, and name them")
    add("--overwrite", action="store_true", help="make models again that are there")
    return parser


if __name__ == "__main__":
    run_tool(main)
