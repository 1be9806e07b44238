"""Samples joined into packed batches with a batch index; an endless, resumable stream of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.coordinates import UnitFrame, VoxelFrame
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scene_source import SceneSource
from sparse_convonet.structures import PointSet, TrainingSample

Coordinates = Literal["voxel", "unit"]

_LANES = 2  # streams of buildings; as many workers can each keep their own
_PHASE, _KIND, _SHARP = 4, 7, 8  # random numbers: position relative to the coarse cells, kinds of scenes, sharp crops
_BATCHES_PER_LARGE_SCENE, _BATCHES_PER_ROOM = 12, 4
_PHASE_VOXELS = 128  # the coarsest cells that a network has


@dataclass(frozen=True)
class PackedBatch:
    """Scenes without padding: rows of all scenes, and the scene that each belongs to.

    points: (N, 3) float32, in the coordinates that the network takes (voxels, or the unit cube).  point_batch: (N,)
    int64, ascending.  queries: (Q, 3) float32, likewise.  query_batch: (Q,) int64, ascending.  occupied: (Q,) float32,
    1 inside solids.  hints: (N, 6) float32 of the points, zeros where nothing is known; None: of no point.
    around: points around the crops that the scenes are, None: of no scene.  shown: see PointSet.
    """

    points: torch.Tensor
    point_batch: torch.Tensor
    queries: torch.Tensor
    query_batch: torch.Tensor
    occupied: torch.Tensor
    hints: torch.Tensor | None = None
    around: PointSet | None = None
    shown: torch.Tensor | None = None

    @property
    def near(self) -> PointSet:
        """What is to be encoded."""
        return PointSet(self.points, self.point_batch, self.hints, self.shown)

    def to(self, device: torch.device) -> PackedBatch:
        return PackedBatch(
            points=self.points.to(device),
            point_batch=self.point_batch.to(device),
            queries=self.queries.to(device),
            query_batch=self.query_batch.to(device),
            occupied=self.occupied.to(device),
            hints=None if self.hints is None else self.hints.to(device),
            around=None if self.around is None else self.around.to(device),
            shown=None if self.shown is None else self.shown.to(device),
        )


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
    points, queries, around = [], [], []
    for scene, sample in enumerate(samples):
        if coordinates == "voxel":
            voxels = voxel_frame_of(sample)
            shift = np.zeros(3) if shifts is None else shifts[scene]
            points.append(voxels.to_voxels(sample.points_world) + shift)
            queries.append(voxels.to_voxels(sample.queries_world) + shift)
            if sample.around_world is not None:
                around.append(voxels.to_voxels(sample.around_world) + shift)
            else:
                around.append(np.zeros((0, 3)))
        else:
            cube = unit_frame_of(sample)
            points.append(cube.to_unit(sample.points_world))
            queries.append(cube.to_unit(sample.queries_world))
    batch = join_scenes(points, queries, [sample.occupied for sample in samples])
    hints = _hint_rows(points, [sample.hints for sample in samples])
    batch = replace(batch, hints=hints, shown=_stacked([sample.shown for sample in samples]))
    if not any(map(len, around)):
        return batch
    hints = _hint_rows(around, [sample.around_hints for sample in samples])
    return replace(batch, around=PointSet(_rows(around), _owners(around), hints))


def _hint_rows(points: Sequence[np.ndarray], hints: Sequence[np.ndarray | None]) -> torch.Tensor | None:
    """Hints of all scenes, zeros where one has none; None where none has any."""
    if all(each is None for each in hints):
        return None
    return _rows([np.zeros((len(own), 6)) if each is None else each for own, each in zip(points, hints, strict=True)])


def _stacked(shown: Sequence[np.ndarray | None]) -> torch.Tensor | None:
    """(B, ...) what is shown of all scenes; None where nothing is.  Raises ValueError where shapes differ."""
    found = [each for each in shown if each is not None]
    if not found:
        return None
    shapes = sorted({each.shape for each in found})
    if len(found) < len(shown) or len(shapes) > 1:
        raise ValueError(
            f"batch: expected voxels or pictures of one size of all scenes, found {', '.join(map(str, shapes))} of "
            f"{len(found)} of {len(shown)}; make the data set again with one size"
        )
    return torch.from_numpy(np.stack(found))


def voxel_frame_of(sample: TrainingSample) -> VoxelFrame:
    """The voxels that the sample's points are, where they are such, or voxels around its points."""
    frame = VoxelFrame.of_lattice if sample.on_lattice else VoxelFrame.around
    return frame(sample.points_world, sample.voxel_size_m)


def unit_frame_of(sample: TrainingSample) -> UnitFrame:
    """The sample's own unit cube, or the one around its points."""
    if sample.unit_frame is not None:
        return sample.unit_frame
    return UnitFrame.around(np.stack([sample.points_world.min(axis=0), sample.points_world.max(axis=0)]))


def join_scenes(
    points: Sequence[np.ndarray], queries: Sequence[np.ndarray], occupied: Sequence[np.ndarray]
) -> PackedBatch:
    """A batch of scenes with points (N, 3), queries (Q, 3) and truth (Q,) each, all in the network's coordinates."""

    return PackedBatch(_rows(points), _owners(points), _rows(queries), _owners(queries), _rows(occupied))


def _rows(parts: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def _owners(parts: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.repeat_interleave(torch.tensor([len(part) for part in parts]))


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

    With scenes: mixed, data.room_share of the scenes are rooms, data.large_share large scenes, the rest crops of
    buildings.
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
        slots = self.shard.slots(self.batch)
        samples = [self._scene(kind, index, slot) for slot, kind in enumerate(self._kinds(index)) if slot in slots]
        shifts = draw_shifts(np.random.default_rng([self.source.seed, _PHASE, index]), self.batch)
        return pack_batch(samples, shifts[slots], self.coordinates)

    def _kinds(self, index: int) -> list[str]:
        """What each scene of batch number `index` is: "room", "building" or "large"; over the batches in their shares."""
        settings = self.source.settings
        rooms = {"rooms": 1.0, "buildings": 0.0, "mixed": settings.room_share}[settings.scenes]
        large = 0.0 if settings.scenes == "rooms" else settings.large_share
        # One random number for the whole batch: each has nearly the same mixture, so that steps take alike long.
        offset = np.random.default_rng([self.source.seed, _KIND, index]).random()
        places = (np.arange(self.batch) + offset) / self.batch
        return ["room" if place < rooms else "large" if place < rooms + large else "building" for place in places]

    def _scene(self, kind: str, index: int, slot: int) -> TrainingSample:
        number = index * self.batch + slot
        if kind == "room":
            return self.source.room(index // _BATCHES_PER_ROOM * self.batch + slot, number)
        if kind == "large":
            return self.source.view("large", index // _BATCHES_PER_LARGE_SCENE, number)
        per_building = self.source.settings.batches_per_building
        building = index // (_LANES * per_building) * _LANES + index % _LANES
        sharp = np.random.default_rng([self.source.seed, _SHARP, number]).random() < self.source.settings.sharp_share
        if self.source.settings.context_voxels and not sharp:
            return self.source.view("building", building, number)
        return self.source.crop(building, number)
