"""How fast data sets in the papers' format are made and read."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from torch.utils.data import DataLoader

from sparse_convonet.data.convonet.dataset import ConvonetDataset, DrawSettings, pack_unit_samples
from sparse_convonet.data.sets.model_set import split_jobs, write_models
from sparse_convonet.data.sets.room_recipes import MetricRecipe, PaperRoomRecipe
from tests.benchmarks.tables import column

TEXT = (
    "Made by tools/make_rooms.py with its default settings on two processes, their start included; read in training: "
    "10,000 points with noise and 2,048 queries of one model, a random file of ten, from the page cache; medians of "
    "five passes over the set."
)


@dataclass(frozen=True)
class DataSetRow:
    scenes: str = column("scenes")
    models: int = column("models", "{:,}")
    made_per_s: float = column("made, models/s", "{:.1f}")
    megabytes: float = column("MB per model", "{:.2f}")
    read_per_s: float = column("read by one process, samples/s", "{:.0f}")
    read_by_two_per_s: float = column("read by two workers, samples/s", "{:.0f}")


def run(quick: bool) -> list[DataSetRow]:
    """Rooms of the papers, and rooms in metres."""
    papers, metric = PaperRoomRecipe(), MetricRecipe()
    if quick:
        papers, metric = replace(papers, points=500, queries=500), replace(metric, points=500, queries=500)
    count = 4 if quick else 60
    return [_row("papers", "rooms_06", papers, count), _row("rooms in metres", "metric_rooms", metric, count)]


def _row(scenes: str, category: str, recipe: PaperRoomRecipe | MetricRecipe, count: int) -> DataSetRow:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        jobs = split_jobs(category, {"train": count})
        made_s = _seconds(
            lambda: write_models(
                root, jobs, recipe, recipe=recipe.describe(), class_names={category: scenes}, workers=2
            )
        )
        size = sum(file.stat().st_size for file in root.rglob("*.npz"))
        dataset = ConvonetDataset(root, "train", DrawSettings())
        passes = [_seconds(lambda: [dataset[index] for index in range(count)]) for _ in range(6)]
        loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=pack_unit_samples, persistent_workers=True)
        shared = [_seconds(lambda: list(loader)) for _ in range(6)]
        return DataSetRow(
            scenes, count, count / made_s, size / count / 1e6, count / median(passes[1:]), count / median(shared[1:])
        )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
