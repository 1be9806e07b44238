"""The validated, frozen records that travel between the stages of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sparse_convonet.coordinates import UnitFrame

if TYPE_CHECKING:
    import torch
    import trimesh


def _require_rows(name: str, array: np.ndarray, columns: int, rows: int | None = None) -> None:
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name}: expected an array of shape (N, {columns}), found {array.shape}")
    if rows is not None and len(array) != rows:
        raise ValueError(f"{name}: expected {rows} rows, one per point or vertex, found {len(array)}")


@dataclass(frozen=True)
class LengthUnit:
    """A unit as a file declares it.  metres: in one; NaN where it is no length, such as degrees."""

    name: str
    metres: float


@dataclass(frozen=True)
class LeftOut:
    """How many points of a file its reader left out, by what the file says of them.

    withheld: flagged so.  noise: classes 7 and 18 of LAS.  transparent: Gaussians that are hardly there.
    """

    withheld: int = 0
    noise: int = 0
    transparent: int = 0

    def total(self) -> int:
        """All of them together."""
        return self.withheld + self.noise + self.transparent

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.withheld + other.withheld, self.noise + other.noise, self.transparent + other.transparent)


@dataclass(frozen=True)
class PointCloud:
    """Points as they were measured, in the frame of their file.

    points: (N, 3) float64, in the units of the source (metres inside the pipeline).
    colours: (N, 3) uint8 or None.  normals: (N, 3) float32 unit vectors or None.
    scanners: (N, 3) float64, where the scanner stood that measured each point, in the frame of the points; NaN where
    that is not known; None: nowhere known.  unit: of the points, where their file declares it.  left_out: what its
    reader left out before.
    Raises ValueError when the shapes do not agree.
    """

    points: np.ndarray
    colours: np.ndarray | None = None
    normals: np.ndarray | None = None
    scanners: np.ndarray | None = None
    unit: LengthUnit | None = None
    left_out: LeftOut = LeftOut()

    def __post_init__(self) -> None:
        _require_rows("points", self.points, 3)
        for name in ("colours", "normals", "scanners"):
            array = getattr(self, name)
            if array is not None:
                _require_rows(name, array, 3, len(self.points))

    def __len__(self) -> int:
        return len(self.points)

    def select(self, index: np.ndarray) -> PointCloud:
        """The points that `index` names: a (N,) bool mask or an integer array."""
        return PointCloud(
            self.points[index],
            None if self.colours is None else self.colours[index],
            None if self.normals is None else self.normals[index],
            None if self.scanners is None else self.scanners[index],
            self.unit,
            self.left_out,
        )


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with shared vertices.

    vertices: (V, 3) float64.  faces: (F, 3) int64, counter-clockwise seen from outside.
    normals: (V, 3) float32 or None.  colours: (V, 3) uint8 or None.
    attributes: further numbers of the vertices by their names in files, (V,) uint8 or float32 each.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_rows("vertices", self.vertices, 3)
        _require_rows("faces", self.faces, 3)
        for name in ("normals", "colours"):
            array = getattr(self, name)
            if array is not None:
                _require_rows(name, array, 3, len(self.vertices))
        for name, array in self.attributes.items():
            if array.shape != (len(self.vertices),):
                raise ValueError(
                    f"{name}: expected one number for each of {len(self.vertices)} vertices, found {array.shape}"
                )

    def to_trimesh(self) -> trimesh.Trimesh:
        """The same mesh as a trimesh.Trimesh; nothing is merged or reordered."""
        import trimesh  # training does without it

        return trimesh.Trimesh(
            self.vertices,
            self.faces,
            vertex_normals=self.normals,
            vertex_colors=self.colours,
            vertex_attributes=dict(self.attributes),
            process=False,
        )


@dataclass(frozen=True)
class OccupiedCells:
    """Occupied cells of a lattice.

    index: (V, 3) int64, each once.  size: edge of a cell.  origin: the corner of cell (0, 0, 0).
    shape: how many cells the lattice has along each axis, from (0, 0, 0) on; None where it has no bounds.
    """

    index: np.ndarray
    size: float
    origin: tuple[float, float, float]
    shape: tuple[int, ...] | None = None

    def centres(self) -> np.ndarray:
        """(V, 3) float64: the middles of the cells."""
        return (self.index + 0.5) * self.size + np.asarray(self.origin)


@dataclass(frozen=True)
class TrainingSample:
    """One observed scene with occupancy queries, in world metres, z up.

    points_world: (N, 3) float32.  queries_world: (Q, 3) float32.  occupied: (Q,) bool.
    voxel_size_m: the voxel size at which the scene is to be encoded.  unit_frame: the unit cube in which networks
    of the papers see it; None: the one around its points.  normals_world: (N, 3) float32 of the points, or None.
    hints: (N, 6) float32 of the points, for networks that take them: the unit vector to the scanner and the normal on
    the free side, zeros where one is not known; None: nothing is known.  around_world: (M, 3) float32 thinned points
    around a crop, for networks that look farther than what they encode; around_hints: (M, 6) of them.
    shown: what networks see that take no points (see Input in config/models.py): occupied voxels (R, R, R) bool of the unit
    cube, in its axes; a picture (3, S, S) float32, 0 to 1; or which points are inside, (N,) bool.  on_lattice: the points
    are the centres of voxels of voxel_size_m.
    """

    points_world: np.ndarray
    queries_world: np.ndarray
    occupied: np.ndarray
    voxel_size_m: float
    unit_frame: UnitFrame | None = None
    normals_world: np.ndarray | None = None
    hints: np.ndarray | None = None
    around_world: np.ndarray | None = None
    around_hints: np.ndarray | None = None
    shown: np.ndarray | None = None
    on_lattice: bool = False

    def __post_init__(self) -> None:
        _require_rows("points_world", self.points_world, 3)
        _require_rows("queries_world", self.queries_world, 3)
        if self.normals_world is not None:
            _require_rows("normals_world", self.normals_world, 3, len(self.points_world))
        if self.hints is not None:
            _require_rows("hints", self.hints, 6, len(self.points_world))
        if self.around_world is not None:
            _require_rows("around_world", self.around_world, 3)
        if self.around_hints is not None:
            around = self.around_world if self.around_world is not None else ()
            _require_rows("around_hints", self.around_hints, 6, len(around))
        if self.occupied.shape != (len(self.queries_world),):
            raise ValueError(
                f"occupied: expected shape ({len(self.queries_world)},), one per query, found {self.occupied.shape}"
            )


@dataclass(frozen=True)
class PointSet:
    """Points (N, 3) of scenes, (N,) int64 scene of each, ascending, and hints (N, 6) of them or None.

    shown: (B, ...) what networks see that take no points (see TrainingSample.shown), of all scenes, or None.
    """

    points: torch.Tensor
    batch: torch.Tensor
    hints: torch.Tensor | None = None
    shown: torch.Tensor | None = None

    def to(self, device: torch.device) -> PointSet:
        hints = None if self.hints is None else self.hints.to(device)
        shown = None if self.shown is None else self.shown.to(device)
        return PointSet(self.points.to(device), self.batch.to(device), hints, shown)
