"""Every number of the baselines; `method` says which record, and so which baseline, a configuration means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

NormalSource = Literal["given", "estimated", "scanners"]
Side = Literal["outside", "inside"]

MIN_DEPTH = 5  # PoissonRecon solves on all 32^3 cells in any case and warns about anything coarser
MAX_DEPTH = 14


@dataclass(frozen=True)
class PoissonSettings:
    """Screened Poisson reconstruction (Kazhdan and Hoppe 2013), as in open3d.

    depth: of the octree around 1.1 times the longest side of the points.  cell: instead of depth, the side of its
    finest cells, in the units of the points.  trim_quantile: this share of the vertices, those with the fewest points
    around, is cut away; 0 leaves the surface that Poisson closes wherever nothing was seen.
    normals: given with the points; estimated; or estimated and turned to where the scanner of each point stood, which the
    cloud knows.  neighbours and seen_from are for estimated ones: of how many points a plane is fitted, and from where
    the points were seen where nothing says it.
    threads: with 1 the same points give the same mesh to the last bit, with more they do not.
    """

    method: Literal["poisson"] = "poisson"
    depth: int | None = 8
    cell: float | None = None
    trim_quantile: float = 0.0
    normals: NormalSource = "given"
    neighbours: int = 30
    seen_from: Side = "outside"
    threads: int = 1

    def __post_init__(self) -> None:
        if (self.depth is None) == (self.cell is None):
            raise ValueError(
                f"Poisson: expected either depth or cell, found depth {self.depth} and cell {self.cell}; set one to null"
            )
        if self.depth is not None and not MIN_DEPTH <= self.depth <= MAX_DEPTH:
            raise ValueError(
                f"Poisson: expected a depth of {MIN_DEPTH} to {MAX_DEPTH}, found {self.depth}; 8 gives 256 cells a side"
            )
        if self.cell is not None:
            _require_positive("Poisson: cell", self.cell)
        if not 0 <= self.trim_quantile < 1:
            raise ValueError(
                f"Poisson: expected a trim_quantile from 0 to below 1, found {self.trim_quantile}; 0 leaves all"
            )
        if self.threads < 1:
            raise ValueError(f"Poisson: expected at least one thread, found {self.threads}; 1 is reproducible")
        _require_neighbours(self.neighbours)


@dataclass(frozen=True)
class BallPivotingSettings:
    """Ball pivoting (Bernardini et al. 1999), as in open3d: triangles of three points that a ball touches together.

    radius_spacings: radii of the balls, rolled one after the other, in median distances to the nearest other point.
    normals, neighbours, seen_from: as in PoissonSettings.
    """

    method: Literal["ball_pivoting"] = "ball_pivoting"
    radius_spacings: tuple[float, ...] = (4.0, 8.0)
    normals: NormalSource = "given"
    neighbours: int = 30
    seen_from: Side = "outside"

    def __post_init__(self) -> None:
        if not self.radius_spacings:
            raise ValueError("ball pivoting: expected at least one radius, found none; try radius_spacings: [4, 8]")
        for radius in self.radius_spacings:
            _require_positive("ball pivoting: radius_spacings", radius)
        _require_neighbours(self.neighbours)


@dataclass(frozen=True)
class AlphaShapeSettings:
    """Alpha shape (Edelsbrunner and Muecke 1994) of solids: the border of all tetrahedra with small circumspheres.

    alpha_spacings: the largest radius of these spheres, in median distances to the nearest other point.
    Needs no normals.  Points on a thin shell give both sides of the shell, and points exactly on a
    sphere, whose tetrahedra all have its radius, give nothing below that radius.
    """

    method: Literal["alpha_shape"] = "alpha_shape"
    alpha_spacings: float = 4.0

    def __post_init__(self) -> None:
        _require_positive("alpha shape: alpha_spacings", self.alpha_spacings)


@dataclass(frozen=True)
class VoxelSurfaceSettings:
    """The surface of the occupied voxels that a model has, of data.input: voxels: what voxel super-resolution begins with
    (the row "input" of Peng et al. 2020, table 4)."""

    method: Literal["voxels"] = "voxels"


BaselineSettings = PoissonSettings | BallPivotingSettings | AlphaShapeSettings  # of points


def _require_positive(name: str, number: float) -> None:
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name}: expected a positive number, found {number}; give a length above zero")


def _require_neighbours(neighbours: int) -> None:
    if neighbours < 3:
        raise ValueError(f"neighbours: expected at least 3, for a plane, found {neighbours}; 30 is usual")
