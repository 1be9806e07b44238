"""Samples joined into packed batches with a batch index; an endless, resumable stream of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from sparse_convonet.config import DataConfig
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.data.furniture import FurnitureLibrary
from sparse_convonet.data.samples import SceneSource
from sparse_convonet.structures import TrainingSample

_LANES = 2  # streams of buildings; as many workers can each keep their own
_BATCHES_PER_BUILDING = 12
_PHASE = 4  # stream of random numbers for the position relative to the coarse cells
_PHASE_VOXELS = 64


@dataclass(frozen=True)
class PackedBatch:
    """Scenes without padding, in voxel coordinates.

    points_voxel: (N, 3) float32.  point_batch: (N,) int64.  queries_voxel: (Q, 3) float32.
    query_batch: (Q,) int64.  occupied: (Q,) float32, 1 inside solids.
    """

    points_voxel: torch.Tensor
    point_batch: torch.Tensor
    queries_voxel: torch.Tensor
    query_batch: torch.Tensor
    occupied: torch.Tensor

    def to(self, device: torch.device) -> PackedBatch:
        return PackedBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def pack_batch(samples: list[TrainingSample], rng: np.random.Generator | None = None) -> PackedBatch:
    """Join samples; `rng` moves each by random whole voxels, so that coarse cells fall anywhere."""
    points, queries, occupied = [], [], []
    for sample in samples:
        frame = VoxelFrame.around(sample.points_world, sample.voxel_size_m)
        shift = np.zeros(3) if rng is None else rng.integers(0, _PHASE_VOXELS, 3)
        points.append(torch.from_numpy((frame.to_voxels(sample.points_world) + shift).astype(np.float32)))
        queries.append(torch.from_numpy((frame.to_voxels(sample.queries_world) + shift).astype(np.float32)))
        occupied.append(torch.from_numpy(sample.occupied.astype(np.float32)))

    def owners(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.repeat_interleave(torch.tensor([len(part) for part in parts]))

    return PackedBatch(torch.cat(points), owners(points), torch.cat(queries), owners(queries), torch.cat(occupied))


class TrainingStream(IterableDataset):
    """Batch after batch, beginning at `first_batch`; batch b is the same whatever the number of workers.

    With scenes: mixed, data.room_share of each batch are rooms, the rest crops of buildings.
    """

    def __init__(
        self, settings: DataConfig, library: FurnitureLibrary, seed: int, batch: int, first_batch: int = 0
    ) -> None:
        self.source = SceneSource(settings, library, seed)
        self.batch = batch
        self.first_batch = first_batch

    def __iter__(self) -> Iterator[PackedBatch]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        index = self.first_batch + worker
        while True:
            yield self.make(index)
            index += workers

    def make(self, index: int) -> PackedBatch:
        """Batch number `index`."""
        settings = self.source.settings
        share = {"rooms": 1.0, "buildings": 0.0, "mixed": settings.room_share}[settings.scenes]
        count = int(self.batch * share + (index % 2) / 2)  # half a scene more in every other batch evens out
        first = index * self.batch
        building = index // (_LANES * _BATCHES_PER_BUILDING) * _LANES + index % _LANES
        samples = [self.source.room(first + slot) for slot in range(count)]
        samples += [self.source.crop(building, first + slot) for slot in range(count, self.batch)]
        return pack_batch(samples, np.random.default_rng([self.source.seed, _PHASE, index]))
