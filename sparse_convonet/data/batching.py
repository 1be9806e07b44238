"""Samples joined into packed batches with a batch index; an endless, resumable stream of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from sparse_convonet.config import DataConfig
from sparse_convonet.coordinates import UnitFrame, VoxelFrame
from sparse_convonet.data.furniture import FurnitureLibrary
from sparse_convonet.data.samples import SceneSource
from sparse_convonet.structures import TrainingSample

Coordinates = Literal["voxel", "unit"]

_LANES = 2  # streams of buildings; as many workers can each keep their own
_BATCHES_PER_BUILDING = 12
_PHASE = 4  # stream of random numbers for the position relative to the coarse cells
_PHASE_VOXELS = 64


@dataclass(frozen=True)
class PackedBatch:
    """Scenes without padding: rows of all scenes, and the scene that each belongs to.

    points: (N, 3) float32, in the coordinates that the network takes (voxels, or the unit cube).  point_batch: (N,)
    int64, ascending.  queries: (Q, 3) float32, likewise.  query_batch: (Q,) int64, ascending.  occupied: (Q,) float32,
    1 inside solids.
    """

    points: torch.Tensor
    point_batch: torch.Tensor
    queries: torch.Tensor
    query_batch: torch.Tensor
    occupied: torch.Tensor

    def to(self, device: torch.device) -> PackedBatch:
        return PackedBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Shard:
    """What one of `count` processes makes of each batch: every count-th scene, beginning with number `rank`.

    Neighbours in a batch take alike long, so that the processes wait little for each other.
    """

    rank: int = 0
    count: int = 1

    def slots(self, batch: int) -> range:
        """Its places in a batch of so many scenes."""
        return range(self.rank, batch, self.count)


WHOLE = Shard()


def draw_shifts(rng: np.random.Generator, batch: int) -> np.ndarray:
    """Whole voxels (B, 3) by which the scenes of a batch are moved, so that coarse cells fall anywhere."""
    return rng.integers(0, _PHASE_VOXELS, (batch, 3))


def pack_batch(
    samples: Sequence[TrainingSample], shifts: np.ndarray | None = None, coordinates: Coordinates = "voxel"
) -> PackedBatch:
    """Join samples in the coordinates of a network.

    shifts: (B, 3) whole voxels by which each scene is moved, None: not; the unit cube stays where it is.
    """
    points, queries = [], []
    for scene, sample in enumerate(samples):
        if coordinates == "voxel":
            voxels = VoxelFrame.around(sample.points_world, sample.voxel_size_m)
            shift = np.zeros(3) if shifts is None else shifts[scene]
            points.append(voxels.to_voxels(sample.points_world) + shift)
            queries.append(voxels.to_voxels(sample.queries_world) + shift)
        else:
            cube = unit_frame_of(sample)
            points.append(cube.to_unit(sample.points_world))
            queries.append(cube.to_unit(sample.queries_world))
    return join_scenes(points, queries, [sample.occupied for sample in samples])


def unit_frame_of(sample: TrainingSample) -> UnitFrame:
    """The sample's own unit cube, or the one around its points."""
    if sample.unit_frame is not None:
        return sample.unit_frame
    return UnitFrame.around(np.stack([sample.points_world.min(axis=0), sample.points_world.max(axis=0)]))


def join_scenes(
    points: Sequence[np.ndarray], queries: Sequence[np.ndarray], occupied: Sequence[np.ndarray]
) -> PackedBatch:
    """A batch of scenes with points (N, 3), queries (Q, 3) and truth (Q,) each, all in the network's coordinates."""

    def rows(parts: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def owners(parts: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.repeat_interleave(torch.tensor([len(part) for part in parts]))

    return PackedBatch(rows(points), owners(points), rows(queries), owners(queries), rows(occupied))


class BatchStream(IterableDataset, ABC):
    """Batch after batch without end, beginning at `first_batch`; batch b is the same whatever the number of workers.

    Of each batch, the scenes of `shard`: the shards of all processes together are the batch of one process alone.
    """

    def __init__(self, batch: int, first_batch: int, coordinates: Coordinates, shard: Shard) -> None:
        self.batch = batch
        self.first_batch = first_batch
        self.coordinates = coordinates
        self.shard = shard

    def __iter__(self) -> Iterator[PackedBatch]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        index = self.first_batch + worker
        while True:
            yield self.make(index)
            index += workers

    @abstractmethod
    def make(self, index: int) -> PackedBatch:
        """The shard's scenes of batch number `index`."""


class TrainingStream(BatchStream):
    """Generated scenes.

    With scenes: mixed, data.room_share of each batch are rooms, the rest crops of buildings.
    """

    def __init__(
        self,
        settings: DataConfig,
        library: FurnitureLibrary,
        seed: int,
        batch: int,
        first_batch: int = 0,
        coordinates: Coordinates = "voxel",
        shard: Shard = WHOLE,
    ) -> None:
        super().__init__(batch, first_batch, coordinates, shard)
        self.source = SceneSource(settings, library, seed)

    def make(self, index: int) -> PackedBatch:
        """The shard's scenes of batch number `index`."""
        settings = self.source.settings
        share = {"rooms": 1.0, "buildings": 0.0, "mixed": settings.room_share}[settings.scenes]
        count = int(self.batch * share + (index % 2) / 2)  # half a scene more in every other batch evens out
        first = index * self.batch
        building = index // (_LANES * _BATCHES_PER_BUILDING) * _LANES + index % _LANES
        slots = self.shard.slots(self.batch)
        samples = [
            self.source.room(first + slot) if slot < count else self.source.crop(building, first + slot)
            for slot in slots
        ]
        shifts = draw_shifts(np.random.default_rng([self.source.seed, _PHASE, index]), self.batch)
        return pack_batch(samples, shifts[slots], self.coordinates)
