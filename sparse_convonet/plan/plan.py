"""What to do with a scan before doing it: voxel size from the errors to expect, memory and time ahead."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sparse_convonet.clouds.cloud_places import CloudPlaces
from sparse_convonet.clouds.surface_sample import SurfaceSample, sample_surface
from sparse_convonet.coordinates import VoxelFrame, pack_cells, unpack_cells
from sparse_convonet.plan.error_law import ExpectedError, shipped_law
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.surface_cells import COARSE_VOXELS, cells_around
from sparse_convonet.plan.voxel_choice import VoxelChoice, choose
from sparse_convonet.runtime.memory import available_memory_bytes

# Over whole runs with a light mesh, 10k to 760k voxels (docs/MEASURED.md): upper bounds of the memory, ...
_BASE_BYTES, _BYTES_PER_POINT, _BYTES_PER_VOXEL, _BYTES_PER_CELL = 0.8e9, 170, 1500, 12_600
# ... and times between those of fast and of slow machines; cells are those of surface_cells.py.
_BASE_SECONDS, _SECONDS_PER_POINT, _SECONDS_PER_CELL = 3.0, 7e-6, 2.8e-4
_BASE_ENCODE_SECONDS, _ENCODE_SECONDS_PER_CELL = 0.3, 2.6e-5  # of these; with cells of the mesh of any size
SECOND_BYTES_PER_VOXEL, SECOND_SECONDS = 500, 0.4  # of a second encoding; of the time that cells take, as much again
_READ_SECONDS = 0.5  # of these, beside those of the points
_MACHINES = 2.0  # a machine may be faster or slower by this
_REFERENCE_CELL_SHARE = 0.5
TILE_EDGES = (2048, 1536, 1024, 768, 512, 384, 256, 192, 128)  # voxels; smaller ones are all halo
_SHARE_OF_AVAILABLE = 0.9


@dataclass(frozen=True)
class Plan:
    """The sizes chosen, why, and what they will cost (on two CPU cores; memory at the peak).

    seconds: in the middle of seconds_range, between a fast machine and a slow one, of which read_seconds and encode_seconds
    go before the surface is sought.  tile_voxels: edge of the tiles, at most; None: the scan in one piece.  tiles: how many
    are encoded.  expected: the error, as it was measured on scans like this one; None where the voxel size was asked for.
    """

    voxel_size_m: float
    cell_size_m: float
    reason: str
    voxels: int
    memory_bytes: int
    seconds: float
    tile_voxels: int | None = None
    tiles: int = 1
    expected: ExpectedError | None = None
    read_seconds: float = 0.0
    encode_seconds: float = 0.0

    @property
    def seconds_range(self) -> tuple[float, float]:
        """On a fast machine, and on a slow one."""
        return self.seconds / _MACHINES, self.seconds * _MACHINES


def memory_amount(text: str) -> int:
    """'4GB', '800 MB', '2.5GiB' -> bytes.  Raises ValueError for anything else."""
    units = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]*)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in units or float(match[1]) <= 0:
        raise ValueError(f"--memory: expected an amount such as 4GB or 800MB, found {text!r}")
    return int(float(match[1]) * units[match[2]])


def memory_budget(asked_bytes: int | None) -> int:
    """What a run may take: what was asked for, or most of what the machine can give now."""
    return asked_bytes or int(_SHARE_OF_AVAILABLE * available_memory_bytes())


def holds_points(points: int, budget_bytes: int) -> bool:
    """Whether so many points can be in memory at once, with nothing else."""
    return _BASE_BYTES + _BYTES_PER_POINT * points <= budget_bytes


def require_memory(plan: Plan, budget_bytes: int, *, was_asked: bool) -> None:
    """Raise ValueError, saying what would fit, where a plan needs more memory than the budget.

    was_asked: whether the user set it, who is then told of what is allowed, not of what is available.
    """
    if plan.memory_bytes > budget_bytes:
        enough = f"allow {_gigabytes(plan.memory_bytes)} GB with --memory" if was_asked else "use a machine with more"
        if plan.tile_voxels is None and budget_bytes <= _BASE_BYTES:  # no size of voxels fits what is taken before them
            how, remedy = "", enough
        elif plan.tile_voxels is None:
            # Cells and voxels lie on surfaces, so their number falls with the square of the size.
            fits = plan.voxel_size_m * math.sqrt((plan.memory_bytes - _BASE_BYTES) / (budget_bytes - _BASE_BYTES))
            how, remedy = "", f"use --voxel-size {fits:.2g} or more, or {enough}"
        else:  # a tile has as many voxels whatever their size, so no size of them is known to fit
            how = f" in tiles of {plan.tile_voxels} voxels, which take the least"
            remedy = "allow that much with --memory" if was_asked else "free some, or use a machine with more"
        raise ValueError(
            f"memory: expected at least {_gigabytes(plan.memory_bytes)} GB for voxels of "
            f"{plan.voxel_size_m:g} m{how}, found {budget_bytes / 1e9:.3g} GB {'allowed' if was_asked else 'available'}; "
            f"{remedy}"
        )


def _gigabytes(amount: float) -> str:
    """Bytes, rounded up."""
    return f"{math.ceil(amount / 1e8) / 10:.1f}"


class Density(Protocol):
    """What a plan needs to know of the points of a scan, wherever they are kept."""

    @property
    def points(self) -> int:
        """How many there are."""
        ...

    def surface(self) -> SurfaceSample:
        """Points per square metre, place by place, and noise."""
        ...

    def voxels(self, voxel_size_m: float) -> int:
        """How many voxels of that size are occupied."""
        ...

    def surface_cells(self, voxel_size_m: float) -> int:
        """How many cells of four voxels are occupied or beside such (surface_cells.cells_around)."""
        ...


@dataclass(frozen=True)
class CloudDensity:
    """That of points in memory, (N, 3) world metres."""

    points_world: np.ndarray
    _counted: dict[float, np.ndarray] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return len(self.points_world)

    def surface(self) -> SurfaceSample:
        return sample_surface(CloudPlaces(self.points_world))

    def voxels(self, voxel_size_m: float) -> int:
        return len(self._occupied(voxel_size_m))

    def surface_cells(self, voxel_size_m: float) -> int:
        return len(cells_around(unpack_cells(self._occupied(voxel_size_m)) // COARSE_VOXELS))

    def _occupied(self, voxel_size_m: float) -> np.ndarray:
        """(V,) int64 keys of the occupied voxels; of one size at a time, which is asked for twice."""
        if voxel_size_m not in self._counted:
            frame = VoxelFrame.around(self.points_world, voxel_size_m)
            index = np.floor(frame.to_voxels(self.points_world)).astype(np.int64)
            self._counted.clear()
            self._counted[voxel_size_m] = np.unique(pack_cells(index))
        return self._counted[voxel_size_m]


def choose_voxel_size(density: Density) -> VoxelChoice:
    """The size with the least expected error of the shipped model, for the density and the noise that a scan shows."""
    return choose(density.surface(), shipped_law().coefficients)


def make_plan(density: Density, settings: ReconstructionSettings, cell_share: float) -> Plan:
    """Fill in what the user left open, and predict the cost.  cell_share: of a voxel, where the settings have no cell.

    Raises ValueError where a size is not positive or the cell is larger than the voxel.
    """
    voxel_size_m, cell_size_m = settings.voxel_size_m, settings.cell_size_m
    reason, expected = "as asked", None
    if voxel_size_m is None:
        choice = choose_voxel_size(density)
        voxel_size_m, reason, expected = choice.voxel_size_m, choice.reason, choice.expected
    if cell_size_m is None:
        cell_size_m = voxel_size_m * cell_share
    if not 0 < cell_size_m <= voxel_size_m:
        raise ValueError(
            f"cell size: expected more than 0 and at most the voxel size ({voxel_size_m:g} m), found {cell_size_m:g} m; "
            "leave it away for the usual share of a voxel"
        )
    voxels, cells = density.voxels(voxel_size_m), density.surface_cells(voxel_size_m)
    finer = finer_cells(voxel_size_m, cell_size_m)
    surface_bytes = max(_BYTES_PER_VOXEL * voxels, _BYTES_PER_CELL * cells * finer)
    surface_seconds = _SECONDS_PER_CELL * cells * finer
    if settings.twice:
        surface_bytes += SECOND_BYTES_PER_VOXEL * voxels
        surface_seconds *= 1 + SECOND_SECONDS
    return Plan(
        voxel_size_m=voxel_size_m,
        cell_size_m=cell_size_m,
        reason=reason,
        voxels=voxels,
        memory_bytes=int(_BASE_BYTES + _BYTES_PER_POINT * density.points + surface_bytes),
        seconds=_BASE_SECONDS + _SECONDS_PER_POINT * density.points + surface_seconds,
        expected=expected,
        read_seconds=_READ_SECONDS + _SECONDS_PER_POINT * density.points,
        encode_seconds=_BASE_ENCODE_SECONDS + _ENCODE_SECONDS_PER_CELL * cells,
    )


def finer_cells(voxel_size_m: float, cell_size_m: float) -> float:
    """How many times as many cells a surface has as with cells of half a voxel, which the predictions are made for."""
    return (_REFERENCE_CELL_SHARE * voxel_size_m / cell_size_m) ** 2
