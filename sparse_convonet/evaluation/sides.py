"""Whether a model puts surfaces on the room's side of the points: empty halls with exact walls, and generated buildings
with tall spaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.evaluation.scenes import virtual_scan
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.seen_surface import station_rays
from sparse_convonet.metrics.sides import SideShares, side_shares
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.structures import Mesh, PointCloud

Reconstruct = Callable[[np.ndarray, float], Mesh]  # points (N, 3) metres, voxel size in metres -> mesh, metres

RAYS = 30_000
TARGETS = ("floor", "ceiling", "wall")

# Two storeys, with a hall through both where the plan allows it.
TALL_BUILDINGS = BuildingSettings(storeys=(2, 2), footprint_m=(12.0, 16.0), hall_share=1.0)
_SEEDS = 20  # one in several plans has a hall
_STATION_SPACING_M, _MAX_RANGE_M = 2.5, 20.0
_LEVEL_COSINE = 0.9  # of the normal with the vertical: floors and ceilings, tops and undersides of furniture


@dataclass(frozen=True)
class SidesRow:
    """One scene at one voxel size.  targets: "floor", "ceiling", "wall", those that the scene has."""

    scene: str
    voxel_size_m: float
    targets: Mapping[str, SideShares]

    @property
    def worst(self) -> float:
        """The largest share of rays that end on the wrong side or in a hole, of all its targets."""
        return max(each.worst for each in self.targets.values())


def reconstruction_of(model: TrainedModel) -> Reconstruct:
    """Whole reconstructions, with the model's own threshold.  Raises ValueError for a network that is not sparse."""
    _ = model.sparse

    def reconstruct(points: np.ndarray, voxel_size_m: float) -> Mesh:
        return Reconstructor(model, ReconstructionSettings(voxel_size_m=voxel_size_m)).run(PointCloud(points)).mesh

    return reconstruct


def hall_sides(
    reconstruct: Reconstruct,
    hall: EmptyHall,
    voxel_size_m: float,
    *,
    points_per_m2: float | None = None,
    rays: int = RAYS,
    seed: int = 0,
) -> SidesRow:
    """An empty hall, seen from everywhere inside (EmptyHall.points, 3 mm noise); `rays` at each kind of surface."""
    rng = np.random.default_rng(seed)
    mesh = reconstruct(hall.points(rng, points_per_m2=points_per_m2), voxel_size_m)
    targets = {
        each.target: side_shares(mesh, each.origins, each.directions, each.ranges, voxel_size_m)
        for each in hall.rays(rng, rays)
    }
    return SidesRow(f"hall {hall.name} m", voxel_size_m, targets)


def building_sides(
    reconstruct: Reconstruct,
    name: str,
    scene: Scene,
    voxel_sizes_m: Sequence[float],
    *,
    rays_per_m2: float = 4000,
    rays: int = RAYS,
    seed: int = 0,
) -> Iterator[SidesRow]:
    """A generated building, scanned virtually; rays from the same stations against the scene's own mesh.

    rays_per_m2: of the scan.  rays: about so many at each kind of surface.  Whatever faces up counts as floor, whatever
    faces down as ceiling, and all else as wall: furniture as well.  Rays that meet nothing within 20 m are left out.
    """
    rng = np.random.default_rng(seed)
    stations = choose_stations(scene, rng, _STATION_SPACING_M)
    truth = Mesh(*scene.mesh())
    area = sum(place.area_m2 for place in scene.places)
    points = virtual_scan(truth, stations, int(area * rays_per_m2) // len(stations), rng).points
    origins, directions = station_rays(stations, max(len(TARGETS) * rays, len(stations)), rng)
    ranges, normals = TriangleScene(truth.vertices, truth.faces).first_hits(origins, directions)
    seen = ranges <= _MAX_RANGE_M
    masks = (normals[:, 2] > _LEVEL_COSINE, normals[:, 2] < -_LEVEL_COSINE, np.abs(normals[:, 2]) <= _LEVEL_COSINE)
    aimed = {target: seen & mask for target, mask in zip(TARGETS, masks, strict=True)}
    for voxel_size_m in voxel_sizes_m:
        mesh = reconstruct(points, voxel_size_m)
        targets = {
            target: side_shares(mesh, origins[mask], directions[mask], ranges[mask], voxel_size_m)
            for target, mask in aimed.items()
            if mask.any()
        }
        yield SidesRow(f"{name}, {area:.0f} m2", voxel_size_m, targets)


def building_with_hall(library: FurnitureLibrary, seed: int) -> tuple[int, Scene]:
    """The first generated building, from a seed on, with a hall through two storeys, and its seed.

    Raises ValueError where 20 seeds give none.
    """
    for each in range(seed, seed + _SEEDS):
        try:
            scene = make_building(each, library, TALL_BUILDINGS)
        except ValueError:  # one in many seeds has no connected plan
            continue
        if any(place.kind == "hall" for place in scene.places):
            return each, scene
    raise ValueError(f"buildings: expected one with a hall among the seeds {seed} to {seed + _SEEDS - 1}, found none")


def sides_head() -> str:
    """The head of the table whose rows sides_line gives."""
    return f"{'':<24}{'voxels':>7}" + "".join(f"{each + ': wrong side, holes, phantoms':>39}" for each in TARGETS)


def sides_line(row: SidesRow) -> str:
    """A row of the table: shares in per cent."""
    cells = []
    for target in TARGETS:
        found = row.targets.get(target)
        shares = () if found is None else (found.wrong_side, found.holes, found.phantoms)
        cells.append(f"{', '.join(f'{100 * share:.1f} %' for share in shares):>39}")
    return f"{row.scene:<24}{f'{100 * row.voxel_size_m:g} cm':>7}" + "".join(cells)


def worst_line(rows: Sequence[SidesRow]) -> str:
    """The row with the largest share of rays that end on the wrong side or in a hole."""
    row = max(rows, key=lambda each: each.worst)
    return f"worst: {100 * row.worst:.1f} % on the wrong side or in holes, {row.scene}, {100 * row.voxel_size_m:g} cm"
