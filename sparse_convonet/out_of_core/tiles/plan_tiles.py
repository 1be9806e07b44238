"""Tiles that fit the memory: how large, which of them, and what they will cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sparse_convonet.clouds.surface_sample import SurfaceSample, sample_surface
from sparse_convonet.coordinates import VoxelFrame, pack_cells, unpack_cells
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.extract.lattice import EDGE
from sparse_convonet.extract.seeds import finest_cells_per_seed
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.out_of_core.points.store_points import PointStore
from sparse_convonet.out_of_core.points.stored_places import StoredPlaces
from sparse_convonet.out_of_core.points.voxel_counts import count_voxels
from sparse_convonet.out_of_core.tiles.encoding import stages
from sparse_convonet.out_of_core.tiles.work_plan import WorkPlan
from sparse_convonet.plan.plan import (
    SECOND_BYTES_PER_VOXEL,
    SECOND_SECONDS,
    TILE_EDGES,
    Plan,
    finer_cells,
    make_plan,
)
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.surface_cells import COARSE_VOXELS, cells_around
from sparse_convonet.tile_grid import TiledRows, TileGrid, TileName

# Upper bounds over runs in tiles on two cores (docs/MEASURED.md): Python and its packages, ...
_BASE_BYTES = 0.7e9
_BYTES_PER_LOADED_VOXEL, _BYTES_PER_LOADED_POINT = 900, 130  # ... of a tile of the encoding and the cells around, ...
# ... of what is searched and meshed at once, with cells of half a voxel; the cells are those of plan.surface_cells
_BYTES_PER_SEARCHED_VOXEL, _BYTES_PER_SEARCHED_CELL = 2500, 22_000
_SECONDS_PER_VOXEL, _SECONDS_PER_POINT = 1.3e-4, 1.2e-5  # between those of fast and of slow machines
_VOXELS_PER_CELL = 3.0  # of plan.surface_cells, in dense scans; where there are fewer, the mesh closes their gaps
# On the disk: points twice, then features, searches, meshes and the result.
_DISK_BYTES_PER_POINT, _DISK_BYTES_PER_VOXEL = 70, 2500


@dataclass(frozen=True)
class TiledPlan:
    """plan: as of any run.  work: for the tasks.  encoded: the tiles to encode.  disk_bytes: what the files will take."""

    plan: Plan
    work: WorkPlan
    encoded: tuple[TileName, ...]
    disk_bytes: int


@dataclass(frozen=True)
class StoreDensity:
    """What make_plan asks, of points on the disk.  stride: of the coarse cells by which voxels are counted."""

    store: PointStore
    stride: int
    _counted: dict[float, CoarseCells] = field(default_factory=dict)
    _surfaces: dict[float, CoarseCells] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return self.store.count

    def surface(self) -> SurfaceSample:
        return sample_surface(StoredPlaces(self.store))

    def voxels(self, voxel_size_m: float) -> int:
        return int(self.coarse_cells(voxel_size_m).voxels.sum())

    def surface_cells(self, voxel_size_m: float) -> int:
        return int(self.coarse_surface(voxel_size_m).voxels.sum())

    def frame(self, voxel_size_m: float) -> VoxelFrame:
        return VoxelFrame.from_lowest(self.store.low, voxel_size_m)

    def coarse_cells(self, voxel_size_m: float) -> CoarseCells:
        """The occupied cells of `stride` voxels."""
        found = self._fine_cells(voxel_size_m)
        return found.coarser(self.stride // found.stride)

    def coarse_surface(self, voxel_size_m: float) -> CoarseCells:
        """As coarse_cells, of cells of four voxels that are occupied or beside such, which it counts for voxels."""
        if voxel_size_m not in self._surfaces:
            found = self._fine_cells(voxel_size_m)
            around = cells_around(found.cells // (COARSE_VOXELS // found.stride))
            ones = np.ones(len(around), dtype=np.int64)
            cells = CoarseCells(COARSE_VOXELS, around, ones, np.zeros_like(ones))
            self._surfaces[voxel_size_m] = cells.coarser(max(1, self.stride // COARSE_VOXELS))
        return self._surfaces[voxel_size_m]

    def _fine_cells(self, voxel_size_m: float) -> CoarseCells:
        """The occupied cells of which those of `stride` and of four voxels consist."""
        if voxel_size_m not in self._counted:
            stride = math.gcd(self.stride, COARSE_VOXELS)
            found = count_voxels(self.store, self.frame(voxel_size_m), stride)
            self._counted[voxel_size_m] = CoarseCells(stride, *found)
        return self._counted[voxel_size_m]


@dataclass(frozen=True)
class CoarseCells:
    """Cells (C, 3) int64 in units of `stride` voxels; (C,) occupied voxels and points in each."""

    stride: int
    cells: np.ndarray
    voxels: np.ndarray
    points: np.ndarray

    def coarser(self, factor: int) -> CoarseCells:
        """The same in cells of so many of these along each axis, sorted by x, then y, then z."""
        keys, of_cell = np.unique(pack_cells(self.cells // factor), return_inverse=True)
        voxels, points = (
            np.bincount(of_cell.reshape(-1), counts, minlength=len(keys)).astype(np.int64)
            for counts in (self.voxels, self.points)
        )
        return CoarseCells(factor * self.stride, unpack_cells(keys), voxels, points)

    def loads(self, grid: TileGrid, names: list[TileName], reach: int) -> tuple[np.ndarray, np.ndarray]:
        """(T,) voxels and points within tiles of a grid in voxels, and up to `reach` voxels around; a little too many."""
        rows = TiledRows(self.cells * self.stride, grid)
        reach = -(-reach // self.stride) * self.stride
        found = [rows.around(name, reach) for name in names]
        return (
            np.array([self.voxels[each].sum() for each in found], dtype=np.int64),
            np.array([self.points[each].sum() for each in found], dtype=np.int64),
        )

    def tiles_with_cells(self, grid: TileGrid, reach: int) -> list[TileName]:
        """The tiles of a grid in voxels that hold points, or have some within `reach` voxels."""
        places = self.cells * self.stride
        rows = TiledRows(places, grid)

        def has_some(name: TileName) -> bool:
            low, high = grid.box(name)
            near = places[rows.around(name, reach + self.stride)]
            return bool(((near + self.stride > low - reach) & (near < high + reach)).all(axis=1).any())

        return [name for name in rows.near(reach) if has_some(name)]


@dataclass(frozen=True)
class SearchCosts:
    """Memory of searching and meshing a tile: that of its voxels, or that of its surface where points are sparse.

    cells: occupied; surface: as StoreDensity.coarse_surface, which counts cells; bytes for each voxel, and each cell.
    """

    cells: CoarseCells
    surface: CoarseCells
    per_voxel: float
    per_cell: float

    def largest(self, grid: TileGrid, reach: int) -> float:
        """Of the tile of a grid in voxels that takes the most: of what is in it, and of voxels also `reach` around."""
        names = self.cells.tiles_with_cells(grid, 0)
        voxels, _ = self.cells.loads(grid, names, reach)
        cells, _ = self.surface.loads(grid, names, 0)
        return float(np.maximum(self.per_voxel * voxels, self.per_cell * cells).max())


def plan_tiles(
    store: PointStore, settings: ReconstructionSettings, model: TrainedModel, budget_bytes: int
) -> TiledPlan:
    """The sizes that a run in one piece would have, and the largest tiles that stay within the budget.

    Where none do, those that take the least; plan.memory_bytes tells.
    """
    unet = model.sparse.unet
    density = StoreDensity(store, unet.total_stride)
    share = model.config.mesh.cell_share
    plan = make_plan(density, settings, share)
    cells = density.coarse_cells(plan.voxel_size_m)
    encoding, names, encode_bytes = _encoding(cells, unet, budget_bytes, moves=settings.twice)
    cell = plan.cell_size_m / plan.voxel_size_m
    finest_per_seed = finest_cells_per_seed(cell)
    finer = max(1.0, finer_cells(plan.voxel_size_m, plan.cell_size_m))
    costs = SearchCosts(
        cells,
        density.coarse_surface(plan.voxel_size_m),
        _BYTES_PER_SEARCHED_VOXEL * finer + (SECOND_BYTES_PER_VOXEL if settings.twice else 0),
        _BYTES_PER_SEARCHED_CELL * finer,
    )
    meshing, search_bytes = _meshing(costs, unet, finest_per_seed * cell, budget_bytes)
    finer *= max(1.0, _VOXELS_PER_CELL * density.surface_cells(plan.voxel_size_m) / plan.voxels)
    frame = density.frame(plan.voxel_size_m)
    x, y, z = frame.origin_world.tolist()
    parameter = next(model.network.parameters())
    work = WorkPlan(
        origin_world=(x, y, z),
        voxel_size_m=plan.voxel_size_m,
        cell_size_m=plan.cell_size_m,
        threshold=settings.threshold or model.threshold,
        encoding=encoding,
        meshing=meshing,
        finest_per_seed=finest_per_seed,
        engine=unet.engine.name,
        device=str(parameter.device),
        refine_steps=settings.refine_steps,
        field_normals=settings.field_normals,
        twice=settings.twice,
    )
    surface_seconds = _SECONDS_PER_VOXEL * finer * plan.voxels * (1 + SECOND_SECONDS * settings.twice)
    seconds = _SECONDS_PER_POINT * store.count + surface_seconds
    plan = replace(
        plan,
        memory_bytes=int(_BASE_BYTES + max(encode_bytes, search_bytes)),
        seconds=seconds,
        tile_voxels=max(encoding.edges),
        tiles=len(names),
    )
    disk = _DISK_BYTES_PER_POINT * store.count + _DISK_BYTES_PER_VOXEL * finer * plan.voxels * (1 + settings.twice)
    return TiledPlan(plan, work, tuple(names), int(disk))


def _encoding(
    cells: CoarseCells, unet: SparseUNet, budget_bytes: int, *, moves: bool
) -> tuple[TileGrid, list[TileName], float]:
    """(tiles, those to encode, memory of the largest).  moves: voxels may stand up to one lower."""
    low, high = cells.cells.min(axis=0) * cells.stride, (cells.cells.max(axis=0) + 1) * cells.stride - 1
    expansion = unet.expansion_voxels()
    reach = max(stage.reach(unet) for stage in stages(unet) if stage.level == 0)  # coarser levels have fewer cells
    best: tuple[TileGrid, list[TileName], float] | None = None
    for edge in TILE_EDGES:
        grid = TileGrid.over(low - expansion, high + expansion, edge, unet.total_stride)
        if best is not None and grid == best[0]:
            continue
        names = cells.tiles_with_cells(grid, expansion + moves)
        voxels, points = cells.loads(grid, names, reach)
        memory = float((_BYTES_PER_LOADED_VOXEL * voxels + _BYTES_PER_LOADED_POINT * points).max())
        if best is None or memory < best[2]:
            best = grid, names, memory
        if _BASE_BYTES + memory <= budget_bytes:
            break
    assert best is not None
    return best


def _meshing(costs: SearchCosts, unet: SparseUNet, seed_voxels: float, budget_bytes: int) -> tuple[TileGrid, float]:
    """(tiles in seed cells, memory of the largest).  seed_voxels: edge of a seed cell."""
    cells = costs.cells
    reach = unet.expansion_voxels() + unet.total_stride
    low = np.floor((cells.cells.min(axis=0) * cells.stride - reach) / seed_voxels).astype(np.int64) - 1
    high = np.ceil(((cells.cells.max(axis=0) + 1) * cells.stride + reach) / seed_voxels).astype(np.int64) + 1
    best: tuple[TileGrid, float] | None = None
    for edge in TILE_EDGES:
        grid = TileGrid.over(low, high, EDGE * max(1, round(edge / (EDGE * seed_voxels))), EDGE)
        if best is not None and grid == best[0]:
            continue
        in_voxels = TileGrid(
            *(
                tuple(int(value) for value in np.floor(np.array(ends) * seed_voxels))
                for ends in (grid.origin, grid.edges)
            )  # type: ignore[arg-type]
        )
        memory = costs.largest(in_voxels, 2 * unet.total_stride)
        if best is None or memory < best[1]:
            best = grid, memory
        if _BASE_BYTES + memory <= budget_bytes:
            break
    assert best is not None
    return best
