"""Make a data set of rooms or buildings in the format of Convolutional Occupancy Networks.

--scenes papers: the rooms of the paper, in the unit cube: classes rooms_04 ... rooms_08, ten files of points and ten of
queries each.  --scenes rooms, buildings: generated scenes of known size, with a frame.json that says how large they
are.  A run that was stopped goes on where it was when the same command is given again.  --cluster spreads the work over
the machines of a Ray cluster, which must share the folder: see docs/CLUSTER.md.
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import os
    from contextlib import closing
    from dataclasses import fields, replace
    from pathlib import Path
    from typing import Any

    from tqdm import tqdm

    from sparse_convonet.cluster import TaskRunner, runner_for
    from sparse_convonet.data.model_set import ModelJob, share_out, split_jobs, write_models
    from sparse_convonet.data.paper_rooms import SCALES
    from sparse_convonet.data.room_recipes import MetricRecipe, PaperRoomRecipe
    from sparse_convonet.data.worker_pool import ProcessRunner
    from sparse_convonet.io.atomic import remove_unfinished

_SHARES = {"train": 0.75, "val": 0.05, "test": 0.2}


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    for name in ("count", "points", "queries", "files", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name}: expected at least 1, found {value}")
    if options.plane_density <= 0:
        raise ValueError(f"--plane-density: expected a share above 0, found {options.plane_density}")
    counts = share_out(options.count, _SHARES)
    chosen: dict[str, Any] = {"seed": options.seed, "furniture": options.furniture}
    chosen |= {name: getattr(options, name) for name in ("points", "queries") if getattr(options, name) is not None}
    recipe: PaperRoomRecipe | MetricRecipe
    if options.scenes == "papers":
        if options.shapes is not None:
            chosen |= {"shapes": options.shapes, "shape_lists": options.lists, "skip_broken": options.skip_broken}
        objects = sorted(set(options.objects))
        names = {f"rooms_{number:02d}": f"rooms with {number} objects" for number in objects}
        recipe = PaperRoomRecipe(plane_density=options.plane_density, files=options.files, **chosen)
    else:
        kind = options.scenes.removesuffix("s")
        names = {f"metric_{options.scenes}": f"generated {options.scenes}, metres in frame.json"}
        if kind == "building":
            chosen = {"points": 500_000, "queries": 200_000, "precision": "float32", **chosen}
        recipe = MetricRecipe(scene=kind, **chosen)
    remove_unfinished(options.out, below=False)  # a run killed before recipe.json has left something else than that
    jobs: list[ModelJob] = [job for name in names for job in split_jobs(name, counts)]
    unit = "room" if "building" not in options.scenes else "building"
    with closing(_runner(options)) as runner, tqdm(total=len(jobs), unit=unit) as bar:
        written = write_models(
            options.out,
            jobs,
            _with_absolute_paths(recipe),
            recipe={**recipe.describe(), "count": options.count, "classes": sorted(names)},
            class_names=names,
            runner=runner,
            finished=bar.update,
        )
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    shares = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"{options.out}: {len(jobs)} models ({shares} in each of {len(names)} classes), {size / 1e9:.2f} GB")
    again = f"; {runner.lost} were lost with their workers and made again" if runner.lost else ""
    print(f"{written} written now, {len(jobs) - written} were there{again}")


def _runner(options: argparse.Namespace) -> TaskRunner:
    if options.cluster is not None:
        return runner_for(options.cluster, workers=options.workers)
    return ProcessRunner(options.workers or os.cpu_count() or 1)


def _with_absolute_paths(recipe: PaperRoomRecipe | MetricRecipe) -> PaperRoomRecipe | MetricRecipe:
    """The same recipe for processes in other folders."""
    values = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    paths: dict[str, Any] = {name: value.absolute() for name, value in values.items() if isinstance(value, Path)}
    return replace(recipe, **paths)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0] if __doc__ else None,
        epilog=__doc__.split("\n\n")[1] if __doc__ else None,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set; a new one, or one that this command began")
    add("--scenes", choices=["papers", "rooms", "buildings"], default="papers")
    add("--count", type=int, default=1000, help="models per class, shared out 75 / 5 / 20 %% (default 1000)")
    add("--objects", type=int, nargs="+", choices=sorted(SCALES), default=sorted(SCALES), help="classes of papers")
    add("--plane-density", type=float, default=0.2, help="points on walls and ground in terms of those on objects, "
        "papers only: 0.2 as published (default), 1 for models that will see real scans")  # fmt: skip
    add("--files", type=int, default=10, help="files of points and of queries per model, papers only (default 10)")
    add("--points", type=int, help="per file; default: 100000, 60000 in metric rooms, 500000 in buildings")
    add("--queries", type=int, help="per file; default: 100000, 60000 in metric rooms, 200000 in buildings")
    add("--furniture", type=Path, help="a pack made by tools/make_furniture.py; default: the shipped one")
    add("--shapes", type=Path, help="watertight ShapeNet (<synset>/2_watertight/*.off, see tools/make_watertight.py) "
        "instead of furniture, papers only")  # fmt: skip
    add("--lists", type=Path, help="<synset>/train.lst, val.lst, test.lst of --shapes; default: beside the models")
    add("--skip-broken", action="store_true", help="leave out shapes that are on a list and not there")
    add("--seed", type=int, default=0)
    add("--workers", type=int, help="processes, or models at once on a cluster; default: one per core")
    add("--cluster", metavar="ADDRESS", help="make the models on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto; "
        "local starts Ray on this machine; see docs/CLUSTER.md")  # fmt: skip
    return parser


if __name__ == "__main__":
    run_tool(main)
