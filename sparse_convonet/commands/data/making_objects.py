"""What `sparse-convonet data objects` does, once its options are read."""

from __future__ import annotations

import argparse
import os
from contextlib import closing
from itertools import accumulate
from pathlib import Path

from tqdm import tqdm

from sparse_convonet.cluster.worker_pool import ProcessRunner
from sparse_convonet.data.sets.model_set import ModelJob, share_out, split_jobs, write_models
from sparse_convonet.data.sets.object_recipes import MESH_FILE, ObjectRecipe
from sparse_convonet.data.sets.shape_stock import CLASSES
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.report.shape_sheet import SheetShape, write_shape_sheet
from sparse_convonet.runtime.atomic import remove_unfinished

SHEET_FILE = "contact_sheet.png"
_SHARES = {"train": 0.75, "val": 0.05, "test": 0.2}


def make_objects(options: argparse.Namespace) -> None:
    """The data set at --out with its contact sheet, and a line about it."""
    counts = share_out(options.count, _SHARES)
    firsts = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
    names = {synset: name for synset, name in sorted(CLASSES.items()) if name in options.classes}
    recipe = ObjectRecipe(
        firsts=firsts,
        seed=options.seed,
        points=options.points,
        queries=options.queries,
        voxels=options.voxels,
        furniture=None if options.furniture is None else options.furniture.absolute(),
    )
    remove_unfinished(options.out, below=False)  # a run killed before recipe.json has left something else than that
    jobs = [job for synset in names for job in split_jobs(synset, counts)]
    runner = ProcessRunner(options.workers or os.cpu_count() or 1)
    with closing(runner), tqdm(total=len(jobs), unit="object") as bar:
        written = write_models(
            options.out,
            jobs,
            recipe,
            recipe={**recipe.describe(), "count": options.count, "classes": sorted(names)},
            class_names=names,
            runner=runner,
            finished=bar.update,
        )
    shown = _chosen(jobs, options.sheet)
    shapes = [_shape(options.out, job, names) for job in shown]
    title = f"{options.out.resolve().name}: {len(shown)} of {len(jobs)} objects"
    write_shape_sheet(options.out / SHEET_FILE, title, shapes)
    shares = ", ".join(f"{count} {split}" for split, count in counts.items())
    print(f"{options.out}: {len(jobs)} models ({shares} in each of {len(names)} classes), {written} written now")
    print(f"{options.out / SHEET_FILE}: {len(shown)} of them")


def _chosen(jobs: list[ModelJob], count: int) -> list[ModelJob]:
    """Evenly from those of the test split, or from all where that has none."""
    pool = [job for job in jobs if job.split == "test"] or jobs
    return [pool[len(pool) * number // min(count, len(pool))] for number in range(min(count, len(pool)))]


def _shape(root: Path, job: ModelJob, names: dict[str, str]) -> SheetShape:
    mesh = read_mesh(root / job.category / job.name / MESH_FILE)
    return SheetShape(mesh, f"{names[job.category]} {job.name}, {job.split}")
