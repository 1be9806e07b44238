"""What `sparse-convonet data rooms` does, once its options are read."""

from __future__ import annotations

import argparse
import os
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sparse_convonet.cluster import TaskRunner, runner_for
from sparse_convonet.cluster.worker_pool import ProcessRunner
from sparse_convonet.data.sets.model_set import ModelJob, share_out, split_jobs, write_models
from sparse_convonet.data.sets.room_recipes import MetricRecipe, PaperRoomRecipe
from sparse_convonet.runtime.atomic import remove_unfinished

_SHARES = {"train": 0.75, "val": 0.05, "test": 0.2}


def make_rooms(options: argparse.Namespace) -> None:
    """The data set at --out, and a line about it."""
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
