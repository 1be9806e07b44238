"""Where a training run gets its batches and its held-out scenes from: generated scenes, or the folder of a data set."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from sparse_convonet.config import ExperimentConfig
from sparse_convonet.data.batching import Coordinates, PackedBatch, TrainingStream
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples
from sparse_convonet.data.furniture import FurnitureLibrary
from sparse_convonet.data.samples import SceneSource
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.validation import ROOM_QUERIES, VALIDATION_VOXEL_M

_VALIDATION_SEED_OFFSET = 1_000_003  # validation scenes draw from another seed than training scenes
_CROPS_PER_BUILDING = 4


def open_batches(config: ExperimentConfig, first_step: int, coordinates: Coordinates) -> DataLoader[PackedBatch]:
    """Packed batches without end, made by workers, beginning with that of `first_step`."""
    settings = config.training
    stream: IterableDataset[PackedBatch]
    if config.data.folder is not None:
        stream = FolderStream(config.data, "train", settings.seed, settings.batch, first_step, coordinates)
    else:
        library = furniture_of(config).split("train")
        stream = TrainingStream(config.data, library, settings.seed, settings.batch, first_step, coordinates)
    workers = settings.workers
    return DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_quiet_worker,
    )


def validation_sets(config: ExperimentConfig, split: str = "val") -> dict[str, list[TrainingSample]]:
    """Held-out scenes by name; the score of the first set decides.

    Of a folder, the first models of the split.  Otherwise fixed rooms (the validation protocol) and fixed crops of
    scanned buildings, with furniture of the split.
    """
    count, seed = config.training.validation_scenes, config.training.seed + _VALIDATION_SEED_OFFSET
    if config.data.folder is not None:
        return {split: evaluation_samples(config.data, split, count, seed)}
    source = SceneSource(config.data, furniture_of(config).split(split), seed)
    rooms = [source.evaluation_room(index, VALIDATION_VOXEL_M, ROOM_QUERIES) for index in range(count)]
    crops = [source.crop(index // _CROPS_PER_BUILDING, index, VALIDATION_VOXEL_M) for index in range(count // 2)]
    return {"rooms": rooms, "crops": crops}


def furniture_of(config: ExperimentConfig) -> FurnitureLibrary:
    """The furniture pack that a config names, or the shipped one."""
    return FurnitureLibrary.load(None if config.data.furniture is None else Path(config.data.furniture))


def _quiet_worker(worker: int) -> None:
    torch.set_num_threads(1)
