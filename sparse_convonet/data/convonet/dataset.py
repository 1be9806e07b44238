"""Samples for training and evaluation from a data set in the papers' format, one file read per model and sample."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from sparse_convonet.config.models import Input
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.batching import PackedBatch, join_scenes
from sparse_convonet.data.convonet.binvox import read_binvox
from sparse_convonet.data.convonet.layout import OCCUPANCY, SURFACE, VOXELS, ModelFolder, find_models
from sparse_convonet.data.convonet.pictures import square_picture
from sparse_convonet.data.convonet.renderings import FOLDER as VIEWS
from sparse_convonet.data.convonet.renderings import find_views, read_picture
from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples, read_occupancy, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.runtime.refusals import unreadable

logger = logging.getLogger(__name__)

# Half precision puts points on a lattice; so much jitter (standard deviation, unit cube) takes them off it.
HALF_JITTER_UNIT = 1e-4
_TRAINING_OCCUPANCY = ("points", "points_iou")  # ShapeNet has both, and trains on the first
_NO_QUERIES = OccupancySamples(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=bool))


@dataclass(frozen=True)
class DrawSettings:
    """How a sample is drawn from a model's files.

    points: surface points, drawn with replacement; None: all.  queries: likewise, or (outside, inside), so many of
    each.  noise: standard deviation added to the points: metres where the model has a frame.json, otherwise lengths
    of the unit cube.  keep_ratio: a scan's points beyond a random length along a random axis, at least this share of
    its extent, are cut off (partial point clouds); None: none.  random_file: one of a model's files at random, as
    for training; otherwise the first; of pictures likewise.  input: what networks are shown
    (UnitSample.shown), beside the points.  image_pixels: sides of the pictures that are shown.
    """

    points: int | None = 10_000
    queries: int | tuple[int, int] | None = 2048
    noise: float = 0.005
    keep_ratio: float | None = None
    random_file: bool = True
    with_queries: bool = True
    with_normals: bool = False
    with_semantics: bool = False
    input: Input = "points"
    image_pixels: int = 224

    def __post_init__(self) -> None:
        counts = self.queries if isinstance(self.queries, tuple) else (self.queries,)
        if any(count is not None and count < 1 for count in (self.points, *counts)):
            raise ValueError(f"samples: expected positive numbers, found points {self.points}, queries {self.queries}")
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"noise: expected a standard deviation of at least 0, found {self.noise}")
        if self.keep_ratio is not None and not 0 < self.keep_ratio <= 1:
            raise ValueError(f"keep ratio: expected a share above 0 and at most 1, found {self.keep_ratio}")


@dataclass(frozen=True)
class UnitSample:
    """One observed model in the unit cube, y up.

    points_unit: (N, 3) float32.  queries_unit: (Q, 3) float32.  occupied: (Q,) bool.  normals: (N, 3) float32 or None.
    semantics: (Q,) int64 of the queries, or None.  volume: share of the model's stored queries that is occupied, NaN
    without queries.  shown: as in TrainingSample; of voxels, the points are their centres and on_lattice is set.
    """

    model: ModelFolder
    frame: UnitFrame | None
    points_unit: np.ndarray
    queries_unit: np.ndarray
    occupied: np.ndarray
    normals: np.ndarray | None
    semantics: np.ndarray | None
    volume: float
    shown: np.ndarray | None = None
    on_lattice: bool = False


class ConvonetDataset(Dataset[UnitSample]):
    """The models of one split; nothing is held in memory but their names.

    Sample `index` is a function of the seed, the epoch (see set_epoch) and the index, whatever worker draws it.
    skip_broken: a model that cannot be read is counted, logged once, and the next sound one taken in its place;
    otherwise it is an error.  broken: what was skipped so far in this process, and why.
    """

    def __init__(
        self,
        root: Path | str,
        split: str | None,
        settings: DrawSettings = DrawSettings(),
        *,
        seed: int = 0,
        categories: Iterable[str] | None = None,
        skip_broken: bool = False,
    ) -> None:
        self.root = Path(root)
        self.settings = settings
        self.seed = seed
        self.models = find_models(self.root, split, categories)
        self.skip_broken = skip_broken
        self.broken: dict[Path, str] = {}
        self._epoch = 0

    def __len__(self) -> int:
        return len(self.models)

    def set_epoch(self, epoch: int) -> None:
        """Draw other samples of the same models from now on; call it before the loader's workers start."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> UnitSample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.draw(index % len(self), self._epoch)

    def draw(self, index: int, epoch: int) -> UnitSample:
        """Sample `index` of an epoch."""
        for step in range(len(self)):
            model = self.models[(index + step) % len(self)]
            try:
                return draw_sample(model, self.settings, np.random.default_rng([self.seed, epoch, index]))
            except (ValueError, OSError) as error:
                if not self.skip_broken:
                    raise
                self._note(model, error)
        raise ValueError(f"{self.root}: expected at least one model that can be read, found none of {len(self)}")

    def _note(self, model: ModelFolder, error: Exception) -> None:
        if model.path not in self.broken:
            self.broken[model.path] = str(error)
            logger.warning("broken model %d skipped: %s", len(self.broken), error)


def draw_sample(model: ModelFolder, settings: DrawSettings, rng: np.random.Generator) -> UnitSample:
    """Read one model and draw points and queries from it.  Raises ValueError or OSError where it is broken."""
    frame = read_frame(model.path)
    noise = settings.noise if frame is None else settings.noise / frame.metres_per_unit
    surface = read_surface(
        _choose(model.files(SURFACE), settings, rng), with_normals=settings.with_normals, with_semantics=False
    )
    if settings.keep_ratio is not None:
        surface = _cut_off(surface, settings.keep_ratio, rng)
    rows = _rows(len(surface), settings.points, rng)
    points, normals = surface.points_unit, surface.normals
    stored = _NO_QUERIES
    chosen: np.ndarray | slice = slice(None)
    if settings.with_queries or settings.input == "queries":
        stems = _TRAINING_OCCUPANCY if settings.random_file else OCCUPANCY
        stored = read_occupancy(_choose(model.files(stems), settings, rng), with_semantics=settings.with_semantics)
        chosen = _query_rows(stored, settings.queries, model, rng)
    drawn = _jittered(points[rows], noise, rng)
    instead, shown = _show(model, settings, stored, rng)
    if instead is not None:
        drawn, normals = instead, None
    if not settings.with_queries:
        chosen = slice(0, 0)
    return UnitSample(
        model,
        frame,
        drawn,
        _jittered(stored.points_unit[chosen], 0.0, rng),
        stored.occupied[chosen],
        None if normals is None else normals[rows].astype(np.float32),
        None if stored.semantics is None else stored.semantics[chosen].astype(np.int64),
        float(stored.occupied.mean()) if len(stored) else float("nan"),
        shown,
        settings.input == "voxels",
    )


def _show(
    model: ModelFolder, settings: DrawSettings, stored: OccupancySamples, rng: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What stands for the points of the surface, (N, 3) float32 or None, and what is shown beside, or None."""
    if settings.input == "voxels":
        occupied = _read_voxels(model)
        return voxel_centres(occupied).astype(np.float32), occupied
    if settings.input == "image":
        views = find_views(model.path / VIEWS)
        view = views[int(rng.integers(len(views)))] if settings.random_file else views[0]
        return None, square_picture(read_picture(view), settings.image_pixels)
    if settings.input == "queries":
        rows = _rows(len(stored), settings.points, rng)
        return _jittered(stored.points_unit[rows], 0.0, rng), stored.occupied[rows]
    return None, None


def voxel_centres(occupied: np.ndarray) -> np.ndarray:
    """(V, 3) float64: the middles of the occupied voxels (R, R, R) of the unit cube."""
    return (np.argwhere(occupied) + 0.5) / occupied.shape[0] - 0.5


def _read_voxels(model: ModelFolder) -> np.ndarray:
    """(R, R, R) bool of model.binvox; like the papers' code, whatever frame the file names."""
    path = model.path / VOXELS
    occupied = read_binvox(path).occupied
    if len(set(occupied.shape)) > 1 or not occupied.any():
        raise unreadable(path, "some occupied voxels of a cube", f"{int(occupied.sum())} of {occupied.shape}")
    return occupied


def _choose(files: Sequence[Path], settings: DrawSettings, rng: np.random.Generator) -> Path:
    return files[int(rng.integers(len(files)))] if settings.random_file and len(files) > 1 else files[0]


def _rows(count: int, wanted: int | None, rng: np.random.Generator) -> np.ndarray | slice:
    return slice(None) if wanted is None else rng.integers(count, size=wanted)


def _query_rows(
    stored: OccupancySamples, wanted: int | tuple[int, int] | None, model: ModelFolder, rng: np.random.Generator
) -> np.ndarray | slice:
    if not isinstance(wanted, tuple):
        return _rows(len(stored), wanted, rng)
    parts = []
    for name, side, count in (("outside", ~stored.occupied, wanted[0]), ("inside", stored.occupied, wanted[1])):
        rows = np.flatnonzero(side)
        if len(rows) == 0:
            raise ValueError(f"{model.path}: expected queries {name} the model, found none; leave the model out")
        parts.append(rows[rng.integers(len(rows), size=count)])
    return np.concatenate(parts)


def _cut_off(surface: SurfaceSamples, keep_ratio: float, rng: np.random.Generator) -> SurfaceSamples:
    """The points up to a random length along a random axis, from its lower end."""
    along = surface.points_unit[:, int(rng.integers(3))].astype(np.float32)
    low, high = float(along.min()), float(along.max())
    kept = along - low <= rng.uniform(keep_ratio, 1.0) * (high - low)
    normals = None if surface.normals is None else surface.normals[kept]
    return replace(surface, points_unit=surface.points_unit[kept], normals=normals, semantics=None)


def _jittered(points: np.ndarray, noise_unit: float, rng: np.random.Generator) -> np.ndarray:
    """float32, with Gaussian noise; what half precision needs is added to it (variances add up)."""
    deviation = float(np.hypot(noise_unit, HALF_JITTER_UNIT)) if points.dtype == np.float16 else noise_unit
    moved = points.astype(np.float32)
    if deviation > 0:
        moved += rng.standard_normal(moved.shape, dtype=np.float32) * np.float32(deviation)
    return moved


def pack_unit_samples(samples: Sequence[UnitSample]) -> PackedBatch:
    """Join samples in their unit cubes; the `collate_fn` of a DataLoader over a ConvonetDataset."""
    return join_scenes(
        [sample.points_unit for sample in samples],
        [sample.queries_unit for sample in samples],
        [sample.occupied for sample in samples],
    )
