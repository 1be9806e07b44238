"""Write many models of a data set, on several cores or machines, so that a run that was stopped can be taken up again.

A model's folder is filled under a temporary name and then renamed: what stands under its own name is complete.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparse_convonet.cluster import TaskRunner
from sparse_convonet.cluster.worker_pool import ProcessRunner
from sparse_convonet.data.convonet.layout import write_metadata, write_split
from sparse_convonet.data.sets.official_splits import SPLITS
from sparse_convonet.runtime.atomic import atomic_path

RECIPE_FILE = "recipe.json"
_PARTIAL = ".partial-"


@dataclass(frozen=True)
class ModelJob:
    """One model to be written: its class, its split, and its number within the class."""

    category: str
    split: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.number:08d}"


Write = Callable[[ModelJob, Path], None]  # fills an empty folder; picklable where there are several workers


def write_models(
    root: Path,
    jobs: Sequence[ModelJob],
    write: Write,
    *,
    recipe: dict[str, Any],
    class_names: dict[str, str],
    workers: int = 1,
    runner: TaskRunner | None = None,
    finished: Callable[[int], None] | None = None,
) -> int:
    """Write every model that is not there yet, then the lists of the splits; returns how many were written.

    There is a list of each of SPLITS, an empty one where no model is in it: the papers' loader opens them all.
    recipe: everything that decides the content, kept in recipe.json; a folder begun with another recipe is refused.
    runner: writes them instead of `workers` processes of this machine; all its machines must see `root`.
    finished: called with a number of models, first with those that were there already.
    Raises ValueError for a folder that holds something else, or where a worker is killed.
    """
    _begin(root, recipe)
    root, runner = root.absolute(), runner or ProcessRunner(workers)  # elsewhere the working folder is another one
    runner.require_shared(root)
    for category in class_names:
        (root / category).mkdir(exist_ok=True)
    _remove_leftovers(root, class_names)
    missing = [job for job in jobs if not (root / job.category / job.name).is_dir()]
    report = finished or (lambda count: None)
    report(len(jobs) - len(missing))
    with closing(runner.run(partial(write_model, root, write), missing)) as written:
        for _ in written:
            report(1)
    _remove_leftovers(root, class_names)  # of lost workers
    for category in class_names:
        for split in dict.fromkeys([*SPLITS, *(job.split for job in jobs)]):
            names = [job.name for job in jobs if (job.category, job.split) == (category, split)]
            write_split(root / category, split, names)
    write_metadata(root, class_names)
    return len(missing)


def _begin(root: Path, recipe: dict[str, Any]) -> None:
    path = root / RECIPE_FILE
    text = json.dumps(recipe, indent=2, sort_keys=True) + "\n"
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{root}: was begun with other settings (see {RECIPE_FILE} in it); repeat those, or name another folder"
            )
        return
    if root.is_dir() and any(root.iterdir()):
        raise ValueError(f"{root}: expected a new or empty folder, or one begun by the same command; name another")
    root.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _remove_leftovers(root: Path, categories: Iterable[str]) -> None:
    for category in categories:
        for leftover in (root / category).glob(f".*{_PARTIAL}*"):
            shutil.rmtree(leftover)


def write_model(root: Path, write: Write, job: ModelJob) -> None:
    """Fill the folder of one model, which appears whole or not at all.

    One that is there is kept: where a machine is lost, its jobs are given to others, and it may have finished them.
    """
    folder = root / job.category
    if (folder / job.name).is_dir():
        return
    unfinished = folder / f".{job.name}{_PARTIAL}{secrets.token_hex(4)}"
    try:
        unfinished.mkdir()  # within: Ctrl-C may come before the next line
        write(job, unfinished)
        try:
            unfinished.rename(folder / job.name)
        except OSError:
            if not (folder / job.name).is_dir():  # else a machine that seemed lost was faster
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def split_jobs(category: str, counts: dict[str, int]) -> list[ModelJob]:
    """Jobs of one class, numbered through its splits in their order."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    return [ModelJob(category, split, number) for number, split in enumerate(splits)]


def share_out(total: int, shares: dict[str, float]) -> dict[str, int]:
    """How many of `total` models each split gets, rounded to the nearest; the last one takes what is left."""
    counts: dict[str, int] = {}
    *first, last = shares
    for split in first:
        counts[split] = min(round(total * shares[split]), total - sum(counts.values()))
    counts[last] = total - sum(counts.values())
    return counts
