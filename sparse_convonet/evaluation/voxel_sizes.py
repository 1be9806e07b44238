"""How far reconstructions are from the truth, for scans of known density and noise and for voxels of several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from sparse_convonet.clouds.cloud_places import CloudPlaces
from sparse_convonet.clouds.surface_sample import sample_surface
from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.large_scenes import make_large_scene
from sparse_convonet.data.scanner.visible_surface import SeenPoints, draw_seen
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations, walk_through
from sparse_convonet.evaluation.sides import Reconstruct
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.sides import side_shares
from sparse_convonet.plan.error_law import GAP_M
from sparse_convonet.structures import Mesh

Observation = Literal["walk", "station"]
SceneKind = Literal["building", "large"]

_WALK_STEP_M, _STATION_SPACING_M = 0.5, 3.0
_STATION_CROWDING = 4.0  # so many times as many points are drawn as kept, nearer ones more often
_NEAREST_M = 1.0  # a station that is nearer has no more of the points
_STRAY_SHARE, _STRAY_BEHIND_M = 0.002, 1.0  # of the points: anywhere along their ray, as data/scanner.py
_ASKED_PER_M2 = 250.0  # rays at the true surface
_START_M = 0.8  # rays begin so far before the true surface
_PHANTOM_VOXELS = 2.0
_LEAST_TURNED = 0.08  # of the seen surface, so much is turned along each axis: a floor alone shows no room
_MARGIN_M = 0.4  # what lies nearer to the border of the crop is not asked
_TRIES, _TRIED_PER_M2, _LEAST_SEEN_M2 = 200, 50.0, 4.0
_ROOM = BuildingSettings(storeys=(1, 1), footprint_m=(8.0, 12.0))


@dataclass(frozen=True)
class MeasuredScene:
    """A generated scene of which a box of edge_m is scanned.  kind and seed say which; seed also places the box."""

    kind: SceneKind
    seed: int
    edge_m: float = 2.8

    @property
    def name(self) -> str:
        return f"{self.kind} {self.seed}"


@dataclass(frozen=True)
class ErrorRow:
    """One reconstruction of a scan whose truth is known; distances in metres, at most GAP_M each.

    per_m2, noise_m: what was asked of the scan.  seen_per_m2: what sample_surface found in it, at 5, 15 ... 95 % of the
    area; seen_noise_m likewise.  to_mesh_m, to_truth_m: within which 50, 68 and 95 % of the true surface are from the
    mesh, and of what rays meet of the mesh from the truth.  mean_m: the mean of both, with GAP_M more of the second for
    each ray through a hole or to a phantom.  holes, wrong_side: shares of rays, as metrics/sides.py has them.  phantoms:
    share of rays that end long before the true surface, at what is not there.
    """

    scene: str
    observation: str
    per_m2: float
    noise_m: float
    voxel_size_m: float
    seen_per_m2: tuple[float, ...]
    seen_noise_m: float
    to_mesh_m: tuple[float, float, float]
    to_truth_m: tuple[float, float, float]
    mean_m: float
    holes: float
    wrong_side: float
    phantoms: float
    rays: int

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ErrorRow:
        arguments: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**arguments)


@dataclass(frozen=True)
class Scanned:
    """A box of a scene.  points: (N, 3) metres.  origins, directions, ranges: of rays at the true surface in its middle."""

    truth: TriangleScene
    points: np.ndarray
    origins: np.ndarray
    directions: np.ndarray
    ranges: np.ndarray


def measure(
    reconstruct: Reconstruct,
    measured: MeasuredScene,
    observation: Observation,
    per_m2: float,
    noise_m: float,
    voxel_sizes_m: Sequence[float],
    library: FurnitureLibrary,
) -> Iterator[ErrorRow]:
    """One row for each voxel size, of one scan with about per_m2 points on each square metre that is seen."""
    scanned = scan_box(measured, observation, per_m2, noise_m, library)
    surface = sample_surface(CloudPlaces(scanned.points))
    shares = np.linspace(0.05, 0.95, 10)
    order = np.argsort(surface.per_m2)
    passed = np.cumsum(surface.area_m2[order]) / surface.area_m2.sum()
    densities = surface.per_m2[order][np.searchsorted(passed, shares).clip(max=len(order) - 1)]
    for voxel_size_m in voxel_sizes_m:
        mesh = reconstruct(scanned.points, voxel_size_m)
        to_mesh, to_truth, phantoms = _distances(mesh, scanned, voxel_size_m)
        sides = side_shares(mesh, scanned.origins, scanned.directions, scanned.ranges, voxel_size_m)
        yield ErrorRow(
            scene=measured.name,
            observation=observation,
            per_m2=per_m2,
            noise_m=noise_m,
            voxel_size_m=voxel_size_m,
            seen_per_m2=tuple(float(density) for density in densities),
            seen_noise_m=surface.noise_m,
            to_mesh_m=_quantiles(to_mesh),
            to_truth_m=_quantiles(to_truth),
            mean_m=float((to_mesh.mean() + to_truth.mean() + (sides.holes + phantoms) * GAP_M) / 2),
            holes=sides.holes,
            wrong_side=sides.wrong_side,
            phantoms=phantoms,
            rays=sides.rays,
        )


def scan_box(
    measured: MeasuredScene, observation: Observation, per_m2: float, noise_m: float, library: FurnitureLibrary
) -> Scanned:
    """Points that scanners on a walk, or at one station, see of a box of a scene.

    A walk sees all of the surface about as densely; a station sees it the less densely, the farther and the flatter.
    Noise is along the rays.
    """
    rng = np.random.default_rng([measured.seed, int(per_m2), round(noise_m * 1e4), observation == "walk"])
    scene, triangles, box, scanners = _placed(measured, observation, library)
    crowding = 1.0 if observation == "walk" else _STATION_CROWDING
    seen = draw_seen(scene, triangles, scanners, per_m2 * crowding, box, rng)
    if observation == "station":
        seen = seen.select(_kept_of_station(seen, 1 / crowding, rng))
    ways = seen.points - seen.scanners
    distances = np.linalg.norm(ways, axis=1, keepdims=True)
    offsets = rng.normal(0, noise_m, (len(ways), 1))
    stray = rng.random(len(ways)) < _STRAY_SHARE
    offsets[stray] = rng.uniform(-distances[stray], _STRAY_BEHIND_M)
    points = seen.points + offsets * ways / np.maximum(distances, 1e-9)
    inner = (box[0] + _MARGIN_M, box[1] - _MARGIN_M)
    asked = draw_seen(scene, triangles, scanners, _ASKED_PER_M2, inner, rng)
    away = asked.points - asked.scanners
    reach = np.linalg.norm(away, axis=1)
    directions = away / np.maximum(reach, 1e-9)[:, None]
    ranges = np.minimum(reach, _START_M)
    origins = asked.points - ranges[:, None] * directions
    return Scanned(triangles, points, origins, directions, ranges)


@lru_cache(maxsize=16)
def _placed(
    measured: MeasuredScene, observation: Observation, library: FurnitureLibrary
) -> tuple[Scene, TriangleScene, tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The scene, its triangles, a box with surface that is turned in all directions, and scanners (S, 3) that see it.

    Raises ValueError where no box of 200 holds enough.
    """
    rng = np.random.default_rng(measured.seed)
    if measured.kind == "building":
        scene = make_building(measured.seed, library, _ROOM)
    else:
        scene = make_large_scene(measured.seed, library)
    triangles = TriangleScene(*scene.mesh())
    positions = (
        walk_through(scene, rng, _WALK_STEP_M)
        if observation == "walk"
        else choose_stations(scene, rng, _STATION_SPACING_M)
    )
    for _ in range(_TRIES):
        eye = positions[rng.integers(len(positions))]
        middle = eye + [*rng.uniform(-0.4, 0.4, 2) * measured.edge_m, rng.uniform(-0.2, 0.2)]
        box = (middle - measured.edge_m / 2, middle + measured.edge_m / 2)
        near = positions[np.linalg.norm(positions - middle, axis=1) < 2 * measured.edge_m]
        scanners = near if observation == "walk" else eye[None]
        seen = draw_seen(scene, triangles, scanners, _TRIED_PER_M2, (box[0] + _MARGIN_M, box[1] - _MARGIN_M), rng)
        turned = np.linalg.eigvalsh(seen.normals.T @ seen.normals)[0] / max(1, len(seen.points))
        if len(seen.points) > _LEAST_SEEN_M2 * _TRIED_PER_M2 and turned > _LEAST_TURNED:
            return scene, triangles, box, scanners
    raise ValueError(f"{measured.name}: expected enough surface in one of {_TRIES} boxes, found none; use another seed")


def _kept_of_station(seen: SeenPoints, share: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool, about that share of the points; more where the scanner is near and looks straight at the surface."""
    ways = seen.scanners - seen.points
    distances = np.linalg.norm(ways, axis=1)
    cosines = np.abs(np.einsum("ij,ij->i", ways, seen.normals)) / np.maximum(distances, 1e-9)
    weights = cosines / np.maximum(distances, _NEAREST_M) ** 2
    scale = share / weights.mean()
    for _ in range(10):  # where a probability reaches one, the others have to grow
        scale *= share / np.minimum(1.0, scale * weights).mean()
    return rng.random(len(weights)) < scale * weights


def _distances(mesh: Mesh, scanned: Scanned, voxel_size_m: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(R,) of the true surface to the mesh, (H,) of what rays meet of the mesh to the truth, and the share of phantoms.

    Distances are 10 cm at most; where there is no mesh, both are 10 cm.  A phantom is met more than 10 cm and two voxels
    before the true surface, and is no part of the distances.
    """
    surface = scanned.origins + scanned.ranges[:, None] * scanned.directions
    if len(mesh.faces) == 0:
        return np.full(len(surface), GAP_M), np.full(1, GAP_M), 0.0
    predicted = TriangleScene(mesh.vertices, mesh.faces)
    hits, _ = predicted.first_hits(scanned.origins, scanned.directions)
    phantom = hits < scanned.ranges - max(GAP_M, _PHANTOM_VOXELS * voxel_size_m)
    met = (hits <= scanned.ranges + GAP_M) & ~phantom
    to_mesh, _ = predicted.nearest(surface)
    to_truth = np.full(1, GAP_M)
    if met.any():
        to_truth, _ = scanned.truth.nearest(scanned.origins[met] + hits[met, None] * scanned.directions[met])
    return np.minimum(to_mesh, GAP_M), np.minimum(to_truth, GAP_M), float(phantom.mean())


def _quantiles(distances: np.ndarray) -> tuple[float, float, float]:
    median, most, nearly_all = np.quantile(distances, (0.5, 0.68, 0.95))
    return float(median), float(most), float(nearly_all)
