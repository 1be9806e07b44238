"""How far the vertices of reconstructions are from the truth, where it is known, beside what the points say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.buildings.room import RoomSettings, make_room
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.mesh.expected_error import FEATURES, ScanScale, features_of
from sparse_convonet.mesh.point_support import SupportingPoints
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh, PointCloud

VOXEL_SIZES_M = (0.04, 0.05, 0.06, 0.08, 0.10, 0.12)
POINTS_PER_M2 = 80.0, 8000.0
NOISE_M = 0.001, 0.025
_LEAST_POINTS_PER_FACE = 0.15  # per square metre times the square of the voxel: fewer, and nobody would choose it
_NOISE_PER_METRE_SHARE = 0.05  # of the noise, for each metre of range
_STATION_SPACING_M = 2.5
_SURFACE_PER_FLOOR = 4.5  # of furnished rooms
_BUILDINGS = BuildingSettings(
    storeys=(1, 1), footprint_m=(7.0, 10.0), hall_share=0.0, pitched_roof_share=0.0, density=(0.1, 0.4)
)
_ROOMS = RoomSettings(side_m=(4.0, 10.0), density=(0.1, 0.4))
_VERTICES = 6000  # of each mesh
_LEAST_ERROR_M = 1e-4  # or the logarithm of a lucky vertex would weigh more than that of a bad one


@dataclass(frozen=True)
class MeasuredVertices:
    """A sample of the vertices of one reconstruction.

    name: of the scan.  voxel_size_m, noise_m: of it; per_m2: points on a square metre of surface, about.  features:
    (V, 8), see mesh.expected_error.FEATURES.  observed: (V,) bool.  errors_m: (V,) distances to the true surface.
    """

    name: str
    voxel_size_m: float
    noise_m: float
    per_m2: float
    features: np.ndarray
    observed: np.ndarray
    errors_m: np.ndarray


def measure_scenes(
    model: TrainedModel, library: FurnitureLibrary, seeds: Sequence[int], folder: Path
) -> Iterator[MeasuredVertices]:
    """A generated scene for each seed, seen by a scanner of its own; what lies in `folder` is not made again.

    Even seeds: a building of a storey, whose rooms a few stations see.  Odd ones: one large room, with more surface that
    many see, and rows of shelves in some.  A seed that gives no building is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"scene_{seed}.npz"
        if not path.exists():
            try:
                measured = _measure_scene(model, library, seed)
            except ValueError:  # one in many seeds has no connected plan
                continue
            save(path, measured)
        yield load(path)


def _measure_scene(model: TrainedModel, library: FurnitureLibrary, seed: int) -> MeasuredVertices:
    rng = np.random.default_rng(seed)
    name, scene = _make_scene(library, seed)
    truth = Mesh(*scene.mesh())
    noise_m = float(np.exp(rng.uniform(*np.log(NOISE_M))))
    per_m2 = float(np.exp(rng.uniform(*np.log(POINTS_PER_M2))))
    sizes = [size for size in VOXEL_SIZES_M if per_m2 * size**2 >= _LEAST_POINTS_PER_FACE]
    voxel_size_m = float(rng.choice(sizes or VOXEL_SIZES_M[-1:]))
    stations = choose_stations(scene, rng, _STATION_SPACING_M)
    area = _SURFACE_PER_FLOOR * sum(place.area_m2 for place in scene.places)
    settings = replace(ScannerSettings(), noise_m=noise_m, noise_per_metre=_NOISE_PER_METRE_SHARE * noise_m)
    scanner = VirtualScanner(truth.vertices, truth.faces, threads=0)
    points = scanner.scan_stations(stations, max(1, int(area * per_m2 / len(stations))), settings, rng).points
    return measure_vertices(name, model, points, truth, voxel_size_m, noise_m, rng)


def _make_scene(library: FurnitureLibrary, seed: int) -> tuple[str, Scene]:
    if seed % 2:
        return f"room {seed}", make_room(seed, library, _ROOMS)
    return f"building {seed}", make_building(seed, library, _BUILDINGS)


def measure_vertices(
    name: str,
    model: TrainedModel,
    points: np.ndarray,
    truth: Mesh,
    voxel_size_m: float | None,
    noise_m: float,
    rng: np.random.Generator,
) -> MeasuredVertices:
    """Reconstruct points (N, 3), metres, z up, and compare.  voxel_size_m: None for what the plan chooses."""
    found = Reconstructor(model, ReconstructionSettings(voxel_size_m=voxel_size_m)).run(PointCloud(points))
    mesh, voxel_size_m = found.mesh, found.plan.voxel_size_m
    assert mesh.normals is not None
    frame = VoxelFrame.around(points, voxel_size_m)
    chosen = np.sort(rng.permutation(len(mesh.vertices))[:_VERTICES])
    vertices = mesh.vertices[chosen]
    support = SupportingPoints(frame.to_voxels(points)).support(frame.to_voxels(vertices), mesh.normals[chosen])
    errors_m = TriangleScene(truth.vertices, truth.faces).nearest(vertices)[0]
    scale = ScanScale(voxel_size_m, len(points) / found.level_cells[min(found.level_cells)])
    return MeasuredVertices(
        name,
        voxel_size_m,
        noise_m,
        scale.points_per_voxel / voxel_size_m**2,  # about: a voxel with points has a face of surface
        features_of(support, scale),
        support.observed,
        np.maximum(errors_m, _LEAST_ERROR_M),
    )


def save(path: Path, measured: MeasuredVertices) -> None:
    """As .npz."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **vars(measured))


def load(path: Path) -> MeasuredVertices:
    """What save wrote."""
    with np.load(path) as found:
        assert found["features"].shape[1] == len(FEATURES), f"{path} is of another release; remove it"
        plain = {name: found[name].item() for name in ("name", "voxel_size_m", "noise_m", "per_m2")}
        return MeasuredVertices(**plain, **{name: found[name] for name in ("features", "observed", "errors_m")})
