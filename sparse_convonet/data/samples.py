"""Observed synthetic scenes with occupancy queries, each a function of a seed and an index alone."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from sparse_convonet.config import DataConfig
from sparse_convonet.data.buildings import make_building
from sparse_convonet.data.furniture import FurnitureLibrary
from sparse_convonet.data.rooms import make_room
from sparse_convonet.data.scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scene import Scene
from sparse_convonet.structures import TrainingSample

logger = logging.getLogger(__name__)

_ROOM, _BUILDING, _CROP = 1, 2, 3  # streams of random numbers that never meet
_REFERENCE_VOXEL_M = 0.08  # the voxel size at which data.crop_m and data.near_surface_sigma_m are meant
_RAYS_PER_SQUARE_METRE = (800, 5000)  # of a building's ground plan, drawn log-uniformly
_RAY_LIMITS = (50_000, 1_200_000)
_SCANNED_ROOM_SHARE = 0.4  # of the rooms, with observation: mixed
_BORDER_VOXELS = 8  # queries keep this far from where a crop cuts the scan: the context is missing there
_CROP_ATTEMPTS = 20
_BUILDING_ATTEMPTS = 10
_TILT_RAD = math.radians(0.7)  # standard deviation about each level axis: scans are levelled by hand


@dataclass(frozen=True)
class ScannedBuilding:
    """A building and what a scanner saw of it: points (N, 3) float32, world metres, shuffled."""

    scene: Scene
    points_world: np.ndarray


class SceneSource:
    """Rooms and crops of buildings for training or validation.

    Every sample is a function of `seed` and the indices passed, so that workers, resumed runs and
    reruns agree.  The last few buildings are kept, since one building gives many crops.
    """

    def __init__(self, settings: DataConfig, library: FurnitureLibrary, seed: int) -> None:
        self.settings = settings
        self.library = library
        self.seed = seed
        self._building = lru_cache(maxsize=2)(self._make_building)

    def room(self, index: int) -> TrainingSample:
        """A training room: uniform or scanned, augmented, of a random voxel size."""
        rng = np.random.default_rng([self.seed, _ROOM, index])
        scene = make_room(int(rng.integers(2**31)), self.library)
        observation = self.settings.observation
        scanned = observation == "scanner" or (observation == "mixed" and rng.random() < _SCANNED_ROOM_SHARE)
        count = int(self.settings.points * rng.uniform(0.5, 2.0))
        if scanned:
            points = _scan(scene, 4 * count, rng)[:count]
        else:
            points = _observe_uniformly(scene, count, self.settings.noise_m, rng)
        voxel_size_m = self._draw_voxel_size(rng)
        low, high = self._padded(scene)
        return self._sample(scene, points, low, high, voxel_size_m, rng)

    def evaluation_room(self, index: int, voxel_size_m: float, queries: int) -> TrainingSample:
        """The validation protocol: uniform surface points with noise, uniform queries in the padded box."""
        rng = np.random.default_rng([self.seed, _ROOM, index])
        scene = make_room(int(rng.integers(2**31)), self.library)
        points = _observe_uniformly(scene, self.settings.points, self.settings.noise_m, rng)
        low, high = self._padded(scene)
        queries_world = rng.uniform(low, high, (queries, 3)).astype(np.float32)
        return TrainingSample(points, queries_world, scene.occupied(queries_world), voxel_size_m)

    def crop(self, building: int, index: int, voxel_size_m: float | None = None) -> TrainingSample:
        """A piece of a scanned building, augmented; `voxel_size_m` None: of a random voxel size."""
        rng = np.random.default_rng([self.seed, _CROP, building, index])
        scanned = self._building(building)
        drawn = self._draw_voxel_size(rng)
        voxel_size_m = voxel_size_m or drawn
        edge = self.settings.crop_m * voxel_size_m / _REFERENCE_VOXEL_M
        points = scanned.points_world
        for _ in range(_CROP_ATTEMPTS):
            centre = points[rng.integers(len(points))]
            low, high = centre - edge / 2, centre + edge / 2
            inside = ((points >= low) & (points < high)).all(axis=1)
            if inside.sum() >= self.settings.points // 10:
                break
        kept = points[inside]
        kept = kept[: int(self.settings.points * rng.uniform(1.0, 5.0))]
        # Where the crop cuts the scan, queries keep away; where the building ends, they reach beyond it.
        border = _BORDER_VOXELS * voxel_size_m
        bounds = self._padded(scanned.scene)
        low_query = np.maximum(low + border, bounds[0])
        high_query = np.maximum(np.minimum(high - border, bounds[1]), low_query + voxel_size_m)
        return self._sample(scanned.scene, kept, low_query, high_query, voxel_size_m, rng)

    def _padded(self, scene: Scene) -> np.ndarray:
        return scene.bounds + np.array([[-1.0], [1.0]]) * self.settings.box_padding_m

    def _sample(
        self,
        scene: Scene,
        points: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        voxel_size_m: float,
        rng: np.random.Generator,
    ) -> TrainingSample:
        near_count = int(self.settings.queries * self.settings.near_surface_share)
        sigma = self.settings.near_surface_sigma_m * voxel_size_m / _REFERENCE_VOXEL_M
        inside = points[((points >= low) & (points <= high)).all(axis=1)]
        anchors = inside if len(inside) else points
        near = anchors[rng.integers(len(anchors), size=near_count)] + rng.normal(0, sigma, (near_count, 3))
        queries = np.concatenate([rng.uniform(low, high, (self.settings.queries - near_count, 3)), near])
        return _augment(TrainingSample(points, queries.astype(np.float32), scene.occupied(queries), voxel_size_m), rng)

    def _draw_voxel_size(self, rng: np.random.Generator) -> float:
        low, high = self.settings.voxel_size_m
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _make_building(self, index: int) -> ScannedBuilding:
        rng = np.random.default_rng([self.seed, _BUILDING, index])
        scene = _make_some_building(rng, self.library)
        floor_area = float(np.prod((scene.bounds[1] - scene.bounds[0])[:2]))
        low, high = np.log(_RAYS_PER_SQUARE_METRE)
        rays = int(np.clip(floor_area * np.exp(rng.uniform(low, high)), *_RAY_LIMITS))
        return ScannedBuilding(scene, _scan(scene, rays, rng))


def _make_some_building(rng: np.random.Generator, library: FurnitureLibrary) -> Scene:
    for _ in range(_BUILDING_ATTEMPTS):
        seed = int(rng.integers(2**31))
        try:
            return make_building(seed, library)
        except ValueError as error:  # one in many seeds has no connected plan
            logger.info("building %d skipped: %s", seed, error)
    raise ValueError(f"buildings: expected a plan within {_BUILDING_ATTEMPTS} seeds, found none; check the settings")


def _observe_uniformly(scene: Scene, count: int, noise_m: float, rng: np.random.Generator) -> np.ndarray:
    points, _ = scene.sample_surface(count, rng)
    return (points + rng.normal(0, noise_m, points.shape)).astype(np.float32)


def _scan(scene: Scene, rays: int, rng: np.random.Generator) -> np.ndarray:
    """What a virtual scanner sees of a scene from stations or along a path: (N, 3) float32, shuffled."""
    scanner = VirtualScanner(*scene.mesh())
    settings = ScannerSettings.draw(rng)
    if rng.random() < 0.5:
        stations = scene.stations(rng, float(rng.uniform(1.5, 4.0)))
        cloud = scanner.scan_stations(stations, max(1, rays // len(stations)), settings, rng)
    else:
        cloud = scanner.scan_path(scene.path(rng, 0.5), rays, settings, rng)
    return cloud.points[rng.permutation(len(cloud))].astype(np.float32)


def _augment(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Turn about the mean point: about z by any angle, out of level by about a degree; mirror in x with
    probability 1/2; scale by up to 10 %."""
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * rng.uniform(0.9, 1.1)
    turn[:, 0] *= rng.choice([-1.0, 1.0])
    turn = turn @ Rotation.from_rotvec([*rng.normal(0, _TILT_RAD, 2), 0]).as_matrix()
    centre = sample.points_world.mean(axis=0)

    def move(points: np.ndarray) -> np.ndarray:
        return ((points - centre) @ turn.T + centre).astype(np.float32)

    return TrainingSample(move(sample.points_world), move(sample.queries_world), sample.occupied, sample.voxel_size_m)
