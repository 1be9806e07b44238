"""Packed batches from a data set in the papers' format, in the coordinates of the network that is trained."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.batching import WHOLE, BatchStream, Coordinates, PackedBatch, Shard, draw_shifts, pack_batch
from sparse_convonet.data.convonet.dataset import ConvonetDataset, DrawSettings, UnitSample
from sparse_convonet.structures import TrainingSample

_ORDER, _VOXELS = 1, 2  # streams of random numbers that never meet
_NO_SIZE = UnitFrame(np.zeros(3), 1.0)  # where the size of a model is not known, the side of its cube counts as 1 m


def open_folder(settings: DataConfig, split: str, seed: int, *, training: bool) -> ConvonetDataset:
    """The models of a split of data.folder; training: drawn as data.* says, otherwise their first files, all queries."""
    if settings.folder is None:
        raise ValueError("data.folder: expected the folder of a data set, found null; name one")
    draw = DrawSettings(
        points=settings.points,
        queries=(settings.outside_inside or settings.queries) if training else None,
        noise=settings.noise_m,
        keep_ratio=settings.keep_ratio,
        random_file=training,
        input=settings.input,
        image_pixels=settings.image_pixels,
    )
    return ConvonetDataset(
        settings.folder, split, draw, seed=seed, categories=settings.classes, skip_broken=settings.skip_broken
    )


def in_world(sample: UnitSample, voxel_size_m: float) -> TrainingSample:
    """The sample in metres, z up; without a frame.json, a side of the unit cube counts as one metre.

    voxel_size_m: of the network; that of the voxels where those are shown.
    """
    frame = sample.frame or _NO_SIZE
    points, queries = frame.to_world(sample.points_unit), frame.to_world(sample.queries_unit)
    if sample.on_lattice and sample.shown is not None:
        voxel_size_m = frame.metres_per_unit / len(sample.shown)
    normals = None if sample.normals is None else _NO_SIZE.to_world(sample.normals).astype(np.float32)  # only turned
    return TrainingSample(
        points.astype(np.float32), queries.astype(np.float32), sample.occupied, voxel_size_m, frame, normals,
        shown=sample.shown, on_lattice=sample.on_lattice,
    )  # fmt: skip


class FolderStream(BatchStream):
    """Shuffled epochs of a data set."""

    def __init__(
        self,
        settings: DataConfig,
        split: str,
        seed: int,
        batch: int,
        first_batch: int = 0,
        coordinates: Coordinates = "voxel",
        shard: Shard = WHOLE,
    ) -> None:
        super().__init__(batch, first_batch, coordinates, shard)
        self.dataset = open_folder(settings, split, seed, training=True)
        self.voxel_sizes_m = settings.voxel_size_m
        self.seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def make(self, index: int) -> PackedBatch:
        """The shard's scenes of batch number `index`; each model comes once in an epoch."""
        samples = []
        rng = np.random.default_rng([self.seed, _VOXELS, index])
        low, high = np.log(self.voxel_sizes_m)
        voxel_sizes_m = [float(np.exp(rng.uniform(low, high))) for _ in range(self.batch)]
        shifts = draw_shifts(rng, self.batch)
        slots = self.shard.slots(self.batch)
        for slot in slots:
            epoch, place = divmod(index * self.batch + slot, len(self.dataset))
            sample = self.dataset.draw(int(self._order(epoch)[place]), epoch)
            samples.append(in_world(sample, voxel_sizes_m[slot]))
        return pack_batch(samples, shifts[slots], self.coordinates)

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(len(self.dataset))


def evaluation_samples(settings: DataConfig, split: str, count: int, seed: int) -> list[TrainingSample]:
    """The first `count` models of a split, their first files and all queries, in voxels of the middle size."""
    dataset = open_folder(settings, split, seed, training=False)
    voxel_size_m = float(np.sqrt(np.prod(settings.voxel_size_m)))
    return [in_world(dataset[index], voxel_size_m) for index in range(min(count, len(dataset)))]
