"""The scans that methods are compared on: of a data set, from a file, of a known mesh or of a generated building."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.clouds.cleaning import clean_points, describe
from sparse_convonet.clouds.units import metres_per_unit, require_fine_steps
from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.coordinates import UnitFrame, up_rotation
from sparse_convonet.data.buildings.building import building_of_area
from sparse_convonet.data.convonet.layout import SURFACE, ModelFolder
from sparse_convonet.data.convonet.samples import read_surface
from sparse_convonet.data.convonet.stream import in_world
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.stations import find_stations
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.evaluation.data_set import limited, open_scans, score_model
from sparse_convonet.evaluation.predictors import Prediction
from sparse_convonet.evaluation.tables import columns_of
from sparse_convonet.io.points import read_points
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.mesh.surface_sampling import sample_faces
from sparse_convonet.mesh.winding import WindingNumbers
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.metrics.occupancy import iou
from sparse_convonet.metrics.seen_surface import seen_surface_and_sides, station_rays
from sparse_convonet.structures import Mesh, PointCloud, TrainingSample

_NOISE_M, _NOISE_PER_METRE = 0.01, 0.0005
_STATION_SPACING_M = 2.5
_RAYS_PER_M2 = 4000  # of generated buildings
_SCORE_RAYS = 200_000
_IOU_QUERIES = 100_000
_MESH_SAMPLES = 100_000  # on a mesh, to see how large it is
_F_THRESHOLDS_M = (0.01, 0.025, 0.05)
_BOX_MARGIN_M = 0.25


@dataclass(frozen=True)
class ScannedScene:
    """What every method gets.

    points_world: (N, 3) float32 metres, z up (sides of the unit cube where a data set has no sizes).
    normals_world: (N, 3) float32 or None.  unit_frame: the unit cube, None: the one around the points.
    voxel_size_m: None: what the configuration of each method says.  floor_m2: of generated buildings.
    """

    name: str
    category: str
    points_world: np.ndarray
    normals_world: np.ndarray | None = None
    unit_frame: UnitFrame | None = None
    voxel_size_m: float | None = None
    floor_m2: float | None = None

    def sample(self, voxel_size_m: float) -> TrainingSample:
        """As networks take it, without queries; voxel_size_m: where the scene leaves it to the method."""
        return TrainingSample(
            self.points_world,
            np.zeros((0, 3), dtype=np.float32),
            np.zeros(0, dtype=bool),
            self.voxel_size_m or voxel_size_m,
            self.unit_frame,
            self.normals_world,
        )


class SceneTruth(ABC):
    """What is known of a scene.  mesh: the true surface, world metres, or None.  error_name: what `errors` gives."""

    mesh: Mesh | None = None
    error_name: str = "distance to the truth"

    @abstractmethod
    def score(self, prediction: Prediction) -> dict[str, float | None]:
        """Names of scores, with their units, and values; None where there is nothing to compare."""

    @abstractmethod
    def errors(self, vertices: np.ndarray) -> np.ndarray:
        """(V,) distances of vertices (V, 3) to the true surface, metres."""


class ModelTruth(SceneTruth):
    """A model of a data set: the papers' protocol (evaluation/data_set.py)."""

    def __init__(self, model: ModelFolder, sample: TrainingSample, seed: tuple[int, ...]) -> None:
        self._model, self._sample, self._seed = model, sample, seed

    def score(self, prediction: Prediction) -> dict[str, float | None]:
        row = score_model(prediction, self._model, self._sample, np.random.default_rng(self._seed))
        return columns_of(replace(row, seconds={}))

    def errors(self, vertices: np.ndarray) -> np.ndarray:
        surface = read_surface(self._model.files(SURFACE)[0], with_semantics=False).points_unit
        frame = self._sample.unit_frame
        assert frame is not None  # samples of data sets have one
        return _nearest(frame.to_world(surface), vertices)


class SeenTruth(SceneTruth):
    """A known mesh that was scanned from stations: scored where rays from the stations see it.

    occupied: which of (Q, 3) points are inside, or None where the mesh has no dependable inside.  voxel_size_m: of the
    scene; a method without voxels is held to the same rule for the wrong side.
    """

    def __init__(
        self,
        mesh: Mesh,
        stations: np.ndarray,
        occupied: Callable[[np.ndarray], np.ndarray] | None,
        voxel_size_m: float,
        seed: int,
    ) -> None:
        self.mesh = mesh
        self._stations, self._occupied, self._voxel_size_m, self._seed = stations, occupied, voxel_size_m, seed

    def score(self, prediction: Prediction) -> dict[str, float | None]:
        assert self.mesh is not None
        rng = np.random.default_rng(self._seed)
        predicted = prediction.mesh
        origins, directions = station_rays(self._stations, _SCORE_RAYS, rng)
        found, sides = seen_surface_and_sides(
            predicted, self.mesh, origins, directions, thresholds_m=_F_THRESHOLDS_M, voxel_size_m=self._voxel_size_m
        )
        values: dict[str, float | None] = {}
        if self._occupied is not None:
            low, high = self.mesh.vertices.min(axis=0) - _BOX_MARGIN_M, self.mesh.vertices.max(axis=0) + _BOX_MARGIN_M
            queries = rng.uniform(low, high, (_IOU_QUERIES, 3))
            inside = WindingNumbers(predicted.vertices, predicted.faces).occupied(queries)
            values["IoU"] = iou(inside, self._occupied(queries))
        lengths = {"Chamfer-L1 cm": found.chamfer_m, "accuracy cm": found.accuracy_m, "compl. cm": found.completeness_m}
        return {
            **values,
            **{name: 100 * length if math.isfinite(length) else None for name, length in lengths.items()},
            "normal c.": found.normal_consistency,
            **{f"F {100 * each.threshold_m:g} cm": each.f_score for each in found.at},
            "holes %": 100 * found.hole_share,
            "wrong side %": 100 * sides.wrong_side,
            "holes 10 cm %": 100 * sides.holes,
            "phantoms %": 100 * sides.phantoms,
        }

    def errors(self, vertices: np.ndarray) -> np.ndarray:
        assert self.mesh is not None
        return TriangleScene(self.mesh.vertices, self.mesh.faces, threads=0).nearest(vertices)[0]


class PointsTruth(SceneTruth):
    """A real scan, whose points are all that is known: how near the mesh passes by them."""

    error_name = "distance to the nearest point"

    def __init__(self, points_world: np.ndarray, voxel_size_m: float) -> None:
        self._points, self._voxel_size_m = points_world, voxel_size_m

    def score(self, prediction: Prediction) -> dict[str, float | None]:
        names = ["points within 1 cell %", "points within 1 voxel %"]
        mesh = prediction.mesh
        if len(mesh.faces) == 0:
            return dict.fromkeys(names, 0.0)
        sizes = (self._voxel_size_m / 2, self._voxel_size_m)
        shares = shares_within(self._points, mesh.vertices, mesh.faces, sizes)
        return {name: 100 * share for name, share in zip(names, shares, strict=True)}

    def errors(self, vertices: np.ndarray) -> np.ndarray:
        return _nearest(self._points, vertices)


def _nearest(points: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    return cKDTree(points).query(vertices, workers=-1)[0]


Known = tuple[ScannedScene, SceneTruth]


def data_set_scenes(data: DataConfig, split: str, limit: int | None, seed: int, *, with_normals: bool) -> list[Known]:
    """The models of a split of data.folder, at most `limit` per class, with the points and noise of data."""
    if data.folder is None:
        raise ValueError("data.folder: expected the folder of a data set, found null; name one")
    dataset = open_scans(data, data.folder, split, seed, with_normals=with_normals)
    known: list[Known] = []
    for index in limited(dataset.models, limit):
        drawn = dataset.draw(index, 0)
        sample = in_world(drawn, 1.0)
        scene = ScannedScene(
            drawn.model.name, drawn.model.category, sample.points_world, sample.normals_world, sample.unit_frame
        )
        known.append((scene, ModelTruth(drawn.model, sample, (seed, index))))
    return known


def scan_scene(path: Path, voxel_size_m: float, up: str | None, seed: int, scale: float | None = None) -> Known:
    """A scan from a file, moved to the origin.  up: None: guessed from the points.  scale: metres in a unit; None: what
    the file declares, or 1.

    Raises ValueError where its numbers cannot be right, as reconstructing it does.
    """
    cloud, dropped = clean_points(read_points(path, seed=seed))
    summary = describe(cloud)
    metres = metres_per_unit(summary, scale)
    require_fine_steps(summary, metres, dropped.duplicates, voxel_size_m)
    points = cloud.points @ up_rotation(up or summary.up).T * metres
    points = (points - np.round(points.mean(axis=0))).astype(np.float32)
    return ScannedScene(path.stem, "scan", points, voxel_size_m=voxel_size_m), PointsTruth(points, voxel_size_m)


def in_metres(mesh: Mesh, scale: float | None) -> Mesh:
    """A mesh in metres.  scale: metres in a unit; None: 1.  Raises ValueError where its size says otherwise."""
    samples = sample_faces(mesh, _MESH_SAMPLES, np.random.default_rng(0))
    return Mesh(mesh.vertices * metres_per_unit(describe(PointCloud(samples.points)), scale), mesh.faces)


def mesh_scene(name: str, mesh: Mesh, voxel_size_m: float, points: int, seed: int) -> Known:
    """A mesh of a building (metres, z up, the rooms can be entered), scanned virtually from stations in it."""
    rng = np.random.default_rng(seed)
    stations = find_stations(mesh.vertices, mesh.faces, _STATION_SPACING_M, rng, threads=0)
    cloud = virtual_scan(mesh, stations, points // len(stations), rng)
    scene = ScannedScene(name, "scan of a mesh", cloud.points.astype(np.float32), voxel_size_m=voxel_size_m)
    return scene, SeenTruth(mesh, stations, None, voxel_size_m, seed)


def building_scene(area_m2: float, voxel_size_m: float, seed: int) -> Known:
    """A generated furnished building of about that floor area on all storeys, scanned virtually."""
    building = building_of_area(area_m2, FurnitureLibrary.load().split("test"))
    area = sum(place.area_m2 for place in building.places)
    rng = np.random.default_rng(seed)
    stations = choose_stations(building, rng, _STATION_SPACING_M)
    mesh = Mesh(*building.mesh())
    cloud = virtual_scan(mesh, stations, int(area * _RAYS_PER_M2) // len(stations), rng)
    scene = ScannedScene(
        f"building_{area_m2:g}_m2", "generated", cloud.points.astype(np.float32),
        voxel_size_m=voxel_size_m, floor_m2=area,
    )  # fmt: skip
    return scene, SeenTruth(mesh, stations, building.occupied, voxel_size_m, seed)


def virtual_scan(mesh: Mesh, stations: np.ndarray, rays_each: int, rng: np.random.Generator) -> PointCloud:
    """What a scanner with noise of a centimetre sees of a mesh (metres, z up) from (S, 3) stations."""
    settings = replace(ScannerSettings(), noise_m=_NOISE_M, noise_per_metre=_NOISE_PER_METRE)
    scanner = VirtualScanner(mesh.vertices, mesh.faces, threads=0)
    return scanner.scan_stations(stations, max(1, rays_each), settings, rng)
