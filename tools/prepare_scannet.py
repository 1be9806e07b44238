"""Turn the folder of ScanNet v2 scans into a data set in the format of Convolutional Occupancy Networks.

Each scan is aligned to the axes and sampled uniformly by area with normals: <out>/scenes/<id>/pointcloud.npz in the
unit cube, y up, with NYU40 classes as semantics where <id>_vh_clean_2.labels.ply is there.

--metres (default) adds frame.json, which says where the cube stands and how large it is, and keeps float32: for models
that work in metres, and to measure in centimetres.  --unit leaves frame.json out and rounds to float16, as the
published files are: every scan then counts as a cube of side 1, which is how a model that was trained on rooms in the
unit cube meets ScanNet in the papers' table.  The published files come from --mesh vh_clean and are mirrored; these
are not.

Run it once for scans and once for scans_test with the same --out; the lists grow.  A run that was stopped goes on
where it was when the same command is given again.
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from pathlib import Path

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from sparse_convonet.data.official_splits import find_splits, named_splits
    from sparse_convonet.data.prepared import prepare_models, require_apart
    from sparse_convonet.data.scan_surface import Drawing
    from sparse_convonet.data.scannet import CATEGORY, LISTS, TITLE, find_scenes, scene_models


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    require_apart(options.scans, options.out)
    drawing = Drawing(options.points, options.files, options.seed, metres=not options.unit)
    splits = (
        named_splits(LISTS, options.splits)
        if options.splits
        else find_splits(LISTS, (options.scans, options.scans.resolve().parent))
    )
    models = scene_models(options.scans, find_scenes(options.scans), splits, drawing, options.mesh)
    with tqdm(total=len(models), unit="scene") as bar, logging_redirect_tqdm():
        outcome = prepare_models(
            options.out,
            CATEGORY,
            TITLE,
            models,
            overwrite=options.overwrite,
            skip_broken=options.skip_broken,
            finished=bar.update,
        )
    if not splits.files:
        print(f"no lists {LISTS.format('train')}, ... in or beside {options.scans}: all scenes are on test.lst")
    print("\n".join([f"{options.out / CATEGORY}:", *outcome.lines()]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("scans", type=Path, help="the folder scans, with scene0000_00/scene0000_00_vh_clean_2.ply, ...")
    add("--out", type=Path, required=True, help="folder of the data set")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--metres", action="store_true", help="with frame.json, float32 (default)")
    size.add_argument("--unit", action="store_true", help="as published: no size, float16")
    add("--points", type=int, default=100_000, help="in each file; default 100000")
    add("--files", type=int, default=1, help="files of points per scene; default 1")
    add("--splits", type=Path, nargs="+", help="folder with scannetv2_train.txt, ..., or such files; "
        "default: the scans' folder or its parent")  # fmt: skip
    add("--mesh", choices=("vh_clean_2", "vh_clean"), default="vh_clean_2", help="default vh_clean_2; vh_clean is "
        "finer and several times larger, and has no labels")  # fmt: skip
    add("--seed", type=int, default=0)
    add("--skip-broken", action="store_true", help="leave out scenes that cannot be read, and name them")
    add("--overwrite", action="store_true", help="make scenes again that are there")
    return parser


if __name__ == "__main__":
    run_tool(main)
