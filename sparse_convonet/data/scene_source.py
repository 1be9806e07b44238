"""Observed synthetic scenes with occupancy queries, each a function of a seed and an index alone."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from sparse_convonet.config.experiment import REFERENCE_VOXEL_M, DataConfig
from sparse_convonet.data.augmentation import augmented
from sparse_convonet.data.buildings.building import make_building
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.large_scenes import make_large_scene
from sparse_convonet.data.scanner.crop_errors import draw_hints, noisier, with_errors
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scanner.visible_surface import SeenPoints, draw_seen
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations, walk_through
from sparse_convonet.data.surroundings import Surroundings, WatchedScene, chebyshev, draw_core, thin_scan
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import PointCloud, TrainingSample

logger = logging.getLogger(__name__)

_ROOM, _BUILDING, _CROP, _LARGE, _VIEW = 1, 2, 3, 5, 6  # streams of random numbers that never meet
_FEWEST_RAYS = 50_000
_NOISIER_SHARE = 0.3  # of the views of buildings
_SCANNED_ROOM_SHARE = 0.4  # of the rooms, with observation: mixed
_BORDER_VOXELS = 8  # queries keep this far from where a crop cuts the scan: the context is missing there
_CROP_ATTEMPTS = 20
_ROOMS_KEPT = 8
_BUILDINGS_KEPT = 4  # of two lanes of batches, each scanned for sharp crops and for views
_STATION_SPACING_M = (3.0, 15.0)  # of large scenes, drawn log-uniformly
_MOST_STATIONS = 12
_POOL_PER_M2, _POOL_MOST = 300.0, 1_200_000  # points drawn on a large scene's surface; a good third of them is seen
_DENSE_PER_VOXEL = (0.7, 16.0)  # points per voxel of surface in the core of a drawn crop
_MOST_CORE_POINTS, _FEWEST_CORE_POINTS = 60_000, 50
_SURROUNDINGS = (0.15, 0.4)  # points per voxel of surface just outside the core
_BUILDING_ATTEMPTS = 10
_PLAIN_OF = 10  # crops


class _Rays(NamedTuple):
    """How many a building gets: per square metre of its ground plan, drawn log-uniformly, and at most in all."""

    per_m2: tuple[float, float]
    most: int


_OF_CROPS, _OF_VIEWS = _Rays((800, 5000), 1_200_000), _Rays((800, 12_000), 2_400_000)  # validation has crops


@dataclass(frozen=True)
class ScannedBuilding:
    """A building and what a scanner saw of it: N points, world metres, shuffled."""

    scene: Scene
    seen: SeenPoints

    @property
    def points_world(self) -> np.ndarray:
        """(N, 3) float32."""
        return self.seen.points.astype(np.float32)


class SceneSource:
    """Rooms and crops of buildings for training or validation.

    Every sample is a function of `seed` and the indices passed, so that workers, resumed runs and
    reruns agree.  The last few buildings are kept, since one building gives many crops.
    """

    def __init__(self, settings: DataConfig, library: FurnitureLibrary, seed: int) -> None:
        self.settings = settings
        self.library = library
        self.seed = seed
        self._building = lru_cache(maxsize=_BUILDINGS_KEPT)(self._make_building)
        self._large = lru_cache(maxsize=2)(self._make_large)
        self._room = lru_cache(maxsize=_ROOMS_KEPT)(self._make_room)

    def room(self, scene_index: int, index: int) -> TrainingSample:
        """A training room: uniform or scanned, augmented, of a random voxel size."""
        rng = np.random.default_rng([self.seed, _ROOM, scene_index, index])
        scene = self._room(scene_index)
        observation = self.settings.observation
        scanned = observation == "scanner" or (observation == "mixed" and rng.random() < _SCANNED_ROOM_SHARE)
        count = int(self.settings.points * rng.uniform(0.5, 2.0))
        if scanned:
            points = _scan(scene, 4 * count, rng).points.astype(np.float32)[:count]
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
        scanned = self._building(building, _OF_CROPS)
        drawn = self._draw_voxel_size(rng)
        voxel_size_m = voxel_size_m or drawn
        edge = self.settings.crop_m * voxel_size_m / REFERENCE_VOXEL_M
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

    def view(self, kind: Literal["building", "large"], scene: int, index: int) -> TrainingSample:
        """A crop in its surroundings: the core of a scanned building or of a large scene, and fewer points around it."""
        rng = np.random.default_rng([self.seed, _VIEW, scene, index])
        settings = self.settings
        voxel_size_m = self._draw_voxel_size(rng)
        sparse = float(rng.uniform(*_SURROUNDINGS))
        around = Surroundings(settings.crop_m / REFERENCE_VOXEL_M / 2, settings.context_voxels, sparse)
        truth = self._building(scene, _OF_VIEWS).scene if kind == "building" else self._large(scene).scene
        for _ in range(_CROP_ATTEMPTS):
            if kind == "building":
                scanned = self._building(scene, _OF_VIEWS)
                centre, clean, measured = _view_of_building(scanned, voxel_size_m, around, rng)
            else:
                plain = settings.plain_share > 0 and rng.random() < settings.plain_share
                centre, clean, measured = _view_of_large(self._large(scene), voxel_size_m, around, rng, plain=plain)
            in_core = chebyshev(measured.points, centre) <= around.core * voxel_size_m
            if in_core.sum() >= _FEWEST_CORE_POINTS:  # a gap of the scan may take all
                break
        else:
            raise ValueError(
                f"{kind} scene {scene}: expected a crop with {_FEWEST_CORE_POINTS} points within {_CROP_ATTEMPTS} tries, "
                "found none; check data.crop_m and data.voxel_size_m"
            )
        hints = draw_hints(measured, settings.direction_share, settings.normal_share, rng)
        near, far = rng.permutation(np.flatnonzero(in_core))[:_MOST_CORE_POINTS], np.flatnonzero(~in_core)
        reach = (around.core - _BORDER_VOXELS) * voxel_size_m
        bounds = self._padded(truth)
        box = np.clip(centre - reach, *bounds), np.clip(centre + reach, *bounds)
        queries = self._queries_around(clean, box, voxel_size_m, rng)
        points = measured.points.astype(np.float32)
        sample = TrainingSample(
            points_world=points[near],
            queries_world=queries,
            occupied=truth.occupied(queries),
            voxel_size_m=voxel_size_m,
            hints=None if hints is None else hints[near],
            around_world=points[far],
            around_hints=None if hints is None else hints[far],
        )
        return augmented(sample, rng)

    def _queries_around(
        self, clean: SeenPoints, box: tuple[np.ndarray, np.ndarray], voxel_size_m: float, rng: np.random.Generator
    ) -> np.ndarray:
        """(Q, 3) float32: uniform in the box, near the surface in it, and in a band to both sides of it."""
        settings = self.settings
        inside = np.flatnonzero(((clean.points >= box[0]) & (clean.points <= box[1])).all(axis=1))
        shares = (settings.near_surface_share, settings.band_share) if len(inside) else (0.0, 0.0)
        near, band = (inside[rng.integers(max(1, len(inside)), size=int(settings.queries * share))] for share in shares)
        sigma = settings.near_surface_sigma_m * voxel_size_m / REFERENCE_VOXEL_M
        depth = rng.uniform(-settings.band_voxels, settings.band_voxels, (len(band), 1)) * voxel_size_m
        parts = [
            rng.uniform(*box, (settings.queries - len(near) - len(band), 3)),
            clean.points[near] + rng.normal(0, sigma, (len(near), 3)),
            clean.points[band] + depth * clean.normals[band],
        ]
        return np.concatenate(parts).astype(np.float32)

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
        sigma = self.settings.near_surface_sigma_m * voxel_size_m / REFERENCE_VOXEL_M
        inside = points[((points >= low) & (points <= high)).all(axis=1)]
        anchors = inside if len(inside) else points
        near = anchors[rng.integers(len(anchors), size=near_count)] + rng.normal(0, sigma, (near_count, 3))
        queries = np.concatenate([rng.uniform(low, high, (self.settings.queries - near_count, 3)), near])
        return augmented(TrainingSample(points, queries.astype(np.float32), scene.occupied(queries), voxel_size_m), rng)

    def _draw_voxel_size(self, rng: np.random.Generator) -> float:
        low, high = self.settings.voxel_size_m
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def _make_building(self, index: int, rays: _Rays) -> ScannedBuilding:
        rng = np.random.default_rng([self.seed, _BUILDING, index])
        scene = _make_some_building(rng, self.library)
        floor_area = float(np.prod((scene.bounds[1] - scene.bounds[0])[:2]))
        per_m2 = np.exp(rng.uniform(*np.log(rays.per_m2)))
        cloud = _scan(scene, int(np.clip(floor_area * per_m2, _FEWEST_RAYS, rays.most)), rng)
        assert cloud.normals is not None and cloud.scanners is not None  # the virtual scanner gives both
        return ScannedBuilding(scene, SeenPoints(cloud.points, cloud.normals, cloud.scanners))

    def _make_room(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, _ROOM, index])
        return make_room(int(rng.integers(2**31)), self.library)

    def _make_large(self, index: int) -> WatchedScene:
        rng = np.random.default_rng([self.seed, _LARGE, index])
        for _ in range(_BUILDING_ATTEMPTS):
            scene = make_large_scene(int(rng.integers(2**31)), self.library)
            triangles = TriangleScene(*scene.mesh())
            try:
                stations = choose_stations(scene, rng, float(np.exp(rng.uniform(*np.log(_STATION_SPACING_M)))))
            except ValueError as error:  # no place to stand
                logger.info("large scene %d skipped: %s", index, error)
                continue
            stations = stations[rng.permutation(len(stations))[:_MOST_STATIONS]]
            per_m2 = min(_POOL_PER_M2, _POOL_MOST / scene.solids_area_m2)
            pool = draw_seen(scene, triangles, stations, per_m2, (scene.bounds[0], scene.bounds[1]), rng)
            if len(pool.points):
                return WatchedScene(scene, triangles, stations, pool, per_m2)
        raise ValueError(
            f"large scenes: expected one that a scanner sees within {_BUILDING_ATTEMPTS} seeds, found none"
        )


def _view_of_building(
    building: ScannedBuilding, voxel_size_m: float, around: Surroundings, rng: np.random.Generator
) -> tuple[np.ndarray, SeenPoints, SeenPoints]:
    """The centre (3,) of a crop, points of a scan of the surface, and the same, of some scans by a worse scanner."""
    centre = building.seen.points[rng.integers(len(building.seen.points))]
    seen = thin_scan(building.seen, centre, voxel_size_m, around)
    measured = noisier(seen, voxel_size_m, rng) if rng.random() < _NOISIER_SHARE else seen
    return centre, seen, measured


def _view_of_large(
    watched: WatchedScene, voxel_size_m: float, around: Surroundings, rng: np.random.Generator, *, plain: bool
) -> tuple[np.ndarray, SeenPoints, SeenPoints]:
    """The same of a large scene, whose points are drawn without errors first.  plain: the flattest of some crops."""
    shift = rng.uniform(-0.5, 0.5, 3) * around.core * voxel_size_m
    centres = list(watched.pool.points[rng.integers(len(watched.pool.points), size=_PLAIN_OF if plain else 1)])
    if plain:
        centres.sort(key=lambda each: _thickness(watched, each, around.core * voxel_size_m))
    centre = centres[0] + shift
    dense = float(np.exp(rng.uniform(*np.log(_DENSE_PER_VOXEL))))
    clean = draw_core(watched, centre, voxel_size_m, dense, around, rng)
    return centre, clean, with_errors(clean, voxel_size_m, rng)


def _thickness(watched: WatchedScene, centre: np.ndarray, reach: float) -> float:
    """Metres, of what is seen within reach of a point (3,): its standard deviation where that is least."""
    points = watched.pool.points
    return float(points[chebyshev(points, centre) <= reach].std(axis=0).min())


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


def _scan(scene: Scene, rays: int, rng: np.random.Generator) -> PointCloud:
    """What a virtual scanner sees of a scene from stations or along a path, shuffled."""
    scanner = VirtualScanner(*scene.mesh())
    settings = ScannerSettings.draw(rng)
    if rng.random() < 0.5:
        stations = choose_stations(scene, rng, float(rng.uniform(1.5, 4.0)))
        cloud = scanner.scan_stations(stations, max(1, rays // len(stations)), settings, rng)
    else:
        cloud = scanner.scan_path(walk_through(scene, rng, 0.5), rays, settings, rng)
    return cloud.select(rng.permutation(len(cloud)))
