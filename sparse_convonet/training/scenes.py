"""Where a training run gets its batches and its held-out scenes from: generated scenes, or the folder of a data set."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.data.batching import WHOLE, BatchStream, Coordinates, PackedBatch, Shard, TrainingStream
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scene_source import SceneSource
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.validation import ROOM_QUERIES, VALIDATION_VOXEL_M

_VALIDATION_SEED = 1_000_003  # of validation scenes, whatever seed a training has: so that all are scored on the same
_CROPS_PER_BUILDING = 4
# Whatever a training draws, the crops that it is validated on are these, so that the scores of trainings compare.
_VALIDATION_DATA: dict[str, Any] = {"crop_m": 4.5, "near_surface_share": 0.5, "near_surface_sigma_m": 0.05}


@contextmanager
def open_batches(
    config: ExperimentConfig, first_step: int, coordinates: Coordinates, shard: Shard = WHOLE
) -> Iterator[Iterator[PackedBatch]]:
    """The shard's scenes of packed batches without end, made by workers, beginning with the batch of `first_step`.

    The workers begin with the block and end with it, however it is left.
    """
    settings = config.training
    stream: BatchStream
    if config.data.folder is not None:
        stream = FolderStream(config.data, "train", settings.seed, settings.batch, first_step, coordinates, shard)
    else:
        library = furniture_of(config).split("train")
        stream = TrainingStream(config.data, library, settings.seed, settings.batch, first_step, coordinates, shard)
    workers = settings.workers
    loader = DataLoader(
        _ErrorsAsItems(stream),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_quiet_worker,
        multiprocessing_context="fork" if workers and hasattr(os, "fork") else None,  # what they inherit has no pickle
    )
    items = iter(loader)  # the workers begin now
    try:
        yield _raise_errors(items)
    finally:
        _end_workers(items)


def _end_workers(items: Iterator[PackedBatch | Exception]) -> None:
    """End what an iterator of a DataLoader started, and wait for that.

    torch itself does so when the iterator is thrown away, which the traceback of an exception puts off; to ask for it
    there is only the private method by which torch does it.
    """
    end = getattr(items, "_shutdown_workers", None)  # without workers there is none
    try:
        if end is not None:
            end()
    finally:
        for worker in getattr(items, "_workers", ()):
            if worker.is_alive():  # busy for longer than torch waits
                worker.kill()
            worker.join()


class _ErrorsAsItems(IterableDataset):
    """A stream whose bad input comes to the main process as it is, not wrapped in the worker's traceback."""

    def __init__(self, stream: BatchStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[PackedBatch | Exception]:
        try:
            yield from self.stream
        except OSError as error:
            yield error
        except ValueError as error:
            yield ValueError(str(error))  # its subclasses may not survive the way between processes


def _raise_errors(items: Iterator[PackedBatch | Exception]) -> Iterator[PackedBatch]:
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


def validation_sets(config: ExperimentConfig, split: str = "val") -> dict[str, list[TrainingSample]]:
    """Held-out scenes by name; the score of the first set decides.

    Of a folder, the first models of the split.  Otherwise fixed rooms (the validation protocol) and fixed crops of
    scanned buildings (none with one scene), with furniture of the split.
    """
    count, seed = config.training.validation_scenes, _VALIDATION_SEED
    if config.data.folder is not None:
        return {split: evaluation_samples(config.data, split, count, seed)}
    data = replace(config.data, **_VALIDATION_DATA)
    source = SceneSource(data, furniture_of(config).split(split), seed)
    rooms = [source.evaluation_room(index, VALIDATION_VOXEL_M, ROOM_QUERIES) for index in range(count)]
    crops = [source.crop(index // _CROPS_PER_BUILDING, index, VALIDATION_VOXEL_M) for index in range(count // 2)]
    return {"rooms": rooms, "crops": crops} if crops else {"rooms": rooms}


def furniture_of(config: ExperimentConfig) -> FurnitureLibrary:
    """The furniture pack that a config names, or the shipped one."""
    return FurnitureLibrary.load(None if config.data.furniture is None else Path(config.data.furniture))


def _quiet_worker(worker: int) -> None:
    """One thread for the work.  Signals to the whole group are the main process's affair: it takes its last step with
    the workers alive, and ends them itself."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for_parent, daemon=True).start()


def _end_for_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
