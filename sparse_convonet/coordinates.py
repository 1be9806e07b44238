"""The only place where metres, voxels, cell centres and packed voxel keys meet.

World: metres, right-handed, z up, float64.  Voxel coordinates: float32 or float64, one unit is one
voxel, `floor` gives the index of the voxel.  A cell of stride s with (integer, multiple of s)
coordinate c covers [c, c + s) in voxel coordinates and its feature sits at its centre, c + s / 2.
Unit cube (files of Convolutional Occupancy Networks): [-0.5, 0.5]^3, y up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch  # seconds to import, which makers of data do without

AXIS_BITS = 19
BATCH_BITS = 6
AXIS_LIMIT = 1 << (AXIS_BITS - 1)  # coordinates lie in [-AXIS_LIMIT, AXIS_LIMIT)
BATCH_LIMIT = 1 << BATCH_BITS

# Voxel borders are placed at an odd fraction of a voxel beside the lowest point, so that points
# quantised to whole centimetres do not lie on borders, where rounding would decide their voxel.
_BORDER_OFFSET = 0.3137
_SNAP_STEPS = 4096

UP_AXES = ("x", "y", "z", "-x", "-y", "-z")


def pack_keys(coordinates: torch.Tensor) -> torch.Tensor:
    """Batched voxel coordinates (V, 4) int [batch, x, y, z] -> (V,) int64 keys.

    Keys sort by batch, then x, y, z (z fastest).  Raises ValueError where a coordinate does not fit
    19 bits or a batch index 6 bits.
    """
    if len(coordinates) == 0:
        return coordinates.new_zeros(0).long()
    coordinates = coordinates.long()
    low, high = coordinates.amin(0), coordinates.amax(0)
    if int(low[1:].min()) < -AXIS_LIMIT or int(high[1:].max()) >= AXIS_LIMIT:
        raise ValueError(
            f"voxel coordinates: expected values in [-{AXIS_LIMIT}, {AXIS_LIMIT}), found "
            f"{int(low[1:].min())} to {int(high[1:].max())}; use larger voxels or remove far outliers"
        )
    if int(low[0]) < 0 or int(high[0]) >= BATCH_LIMIT:
        raise ValueError(f"batch index: expected 0 to {BATCH_LIMIT - 1}, found {int(low[0])} to {int(high[0])}")
    shifted = coordinates[:, 1:] + AXIS_LIMIT
    key = coordinates[:, 0]
    for axis in range(3):
        key = (key << AXIS_BITS) | shifted[:, axis]
    return key


def one_scene(points: torch.Tensor) -> torch.Tensor:
    """(N,) int64: the batch index of points (N, ...) that all belong to one scene, on their device."""
    import torch

    return points.new_zeros(len(points), dtype=torch.int64)


def unpack_keys(keys: torch.Tensor) -> torch.Tensor:
    """(V,) int64 keys -> (V, 4) int64 [batch, x, y, z]; the inverse of pack_keys."""
    mask = (1 << AXIS_BITS) - 1
    coordinates = keys.new_empty((len(keys), 4))
    coordinates[:, 0] = keys >> (3 * AXIS_BITS)
    for axis in range(3):
        coordinates[:, 1 + axis] = ((keys >> ((2 - axis) * AXIS_BITS)) & mask) - AXIS_LIMIT
    return coordinates


def pack_cells(cells: np.ndarray) -> np.ndarray:
    """Cells (C, 3) int64 of one scene -> (C,) int64 keys; as pack_keys, for arrays."""
    import torch

    batched = np.concatenate([np.zeros((len(cells), 1), dtype=np.int64), cells], axis=1)
    return pack_keys(torch.from_numpy(batched)).numpy()


def unpack_cells(keys: np.ndarray) -> np.ndarray:
    """(C,) int64 keys -> (C, 3) int64; the inverse of pack_cells."""
    import torch

    return unpack_keys(torch.from_numpy(keys)).numpy()[:, 1:]


def key_shift(dx: int, dy: int, dz: int) -> int:
    """What to add to a packed key to move it by whole voxels (no axis may leave its range)."""
    return (((dx << AXIS_BITS) + dy) << AXIS_BITS) + dz


def up_rotation(up: str) -> np.ndarray:
    """(3, 3) float64 rotation that takes a cloud with the given up axis, of UP_AXES, to z up; '-y': y points down."""
    rotations = {
        "z": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "y": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],  # (x, y, z) -> (x, -z, y)
        "x": [[0, 0, -1], [0, 1, 0], [1, 0, 0]],  # (x, y, z) -> (-z, y, x)
        "-z": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],  # (x, y, z) -> (x, -y, -z)
        "-y": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],  # (x, y, z) -> (x, z, -y)
        "-x": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],  # (x, y, z) -> (z, y, -x)
    }
    if up not in rotations:
        raise ValueError(f"up axis: expected {', '.join(UP_AXES)}, found {up!r}")
    return np.array(rotations[up], dtype=np.float64)


@dataclass(frozen=True)
class ScanFrame:
    """How a scan lies in the world, which is in metres, z up.

    up: the axis of UP_AXES that points up in the scan.  scale: metres per unit of the scan.
    """

    up: str = "z"
    scale: float = 1.0

    def to_world(self, points_scan: np.ndarray) -> np.ndarray:
        """(N, 3) scan -> (N, 3) float64 metres, z up; what is not finite, as unknown scanners are, stays so."""
        with np.errstate(invalid="ignore"):  # infinity times the zeros of the rotation is NaN
            return (np.asarray(points_scan, dtype=np.float64) * self.scale) @ up_rotation(self.up).T

    def to_scan(self, points_world: np.ndarray) -> np.ndarray:
        """(N, 3) metres, z up -> (N, 3) float64 in the frame and units of the scan."""
        return (points_world @ up_rotation(self.up)) / self.scale

    def directions_to_world(self, directions_scan: np.ndarray) -> np.ndarray:
        """(N, 3) unit vectors in the frame of the scan -> (N, 3) float32, z up."""
        return (directions_scan @ up_rotation(self.up).T).astype(np.float32)

    def directions_to_scan(self, directions_world: np.ndarray) -> np.ndarray:
        """(N, 3) unit vectors, z up -> (N, 3) float32 in the frame of the scan."""
        return (directions_world @ up_rotation(self.up)).astype(np.float32)


def require_voxel_size(metres: float) -> None:
    """Raise ValueError for an edge that is no length."""
    if not (np.isfinite(metres) and metres > 0):
        raise ValueError(
            f"voxel size: expected a positive number of metres, found {metres:g}; 0.05 is 5 cm, or leave it away: the plan "
            "chooses"
        )


@dataclass(frozen=True)
class VoxelFrame:
    """Where voxel (0, 0, 0) begins in the world, and how large a voxel is.

    origin_world: (3,) float64, metres.  voxel_size_m: edge of a voxel of stride 1.
    """

    origin_world: np.ndarray
    voxel_size_m: float

    def __post_init__(self) -> None:
        require_voxel_size(self.voxel_size_m)

    @classmethod
    def around(cls, points_world: np.ndarray, voxel_size_m: float) -> VoxelFrame:
        """A frame that moves with the cloud: any shift of (N, 3) points shifts the origin alike."""
        if len(points_world) == 0:
            raise ValueError("voxel frame: expected at least one point, found none")
        return cls.from_lowest(np.asarray(points_world, dtype=np.float64).min(axis=0), voxel_size_m)

    @classmethod
    def from_lowest(cls, low_world: np.ndarray, voxel_size_m: float) -> VoxelFrame:
        """The frame around points whose lowest coordinates are (3,) metres."""
        return cls(np.asarray(low_world, dtype=np.float64) - _BORDER_OFFSET * voxel_size_m, voxel_size_m)

    @classmethod
    def of_lattice(cls, centres_world: np.ndarray, voxel_size_m: float) -> VoxelFrame:
        """The frame whose voxels are those of a lattice: (N, 3) centres of some of them lie at halves of a voxel."""
        if len(centres_world) == 0:
            raise ValueError("voxel frame: expected at least one voxel, found none")
        lowest = np.asarray(centres_world, dtype=np.float64).min(axis=0)
        return cls(lowest - voxel_size_m / 2, voxel_size_m)

    def moved(self, voxels: float) -> VoxelFrame:
        """The frame whose coordinates are those of this one and `voxels` more, along every axis."""
        return VoxelFrame(self.origin_world - voxels * self.voxel_size_m, self.voxel_size_m)

    def to_voxels(self, points_world: np.ndarray) -> np.ndarray:
        """(N, 3) metres -> (N, 3) float64 voxel coordinates."""
        return (np.asarray(points_world, dtype=np.float64) - self.origin_world) / self.voxel_size_m

    def snap_to_voxels(self, points_world: np.ndarray) -> np.ndarray:
        """As to_voxels, rounded to 1/4096 of a voxel (20 micrometres at 8 cm).

        So a scan gives the same values wherever it stands: differences of rounding far from the origin
        vanish, instead of deciding here and there on which side of the surface a lattice point lies.
        """
        return np.round(self.to_voxels(points_world) * _SNAP_STEPS) / _SNAP_STEPS

    def to_world(self, points_voxel: np.ndarray) -> np.ndarray:
        """(N, 3) voxel coordinates -> (N, 3) float64 metres."""
        return np.asarray(points_voxel, dtype=np.float64) * self.voxel_size_m + self.origin_world


@dataclass(frozen=True)
class UnitFrame:
    """Where the unit cube stands in the world: the middle of the cube, and the metres along one of its sides.

    centre_world: (3,) float64, metres.  The cube is y up, the world z up: (x, y, z) unit is (x, -z, y) world.
    """

    centre_world: np.ndarray
    metres_per_unit: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.metres_per_unit) and self.metres_per_unit > 0):
            raise ValueError(f"unit cube: expected a positive number of metres per side, found {self.metres_per_unit}")
        if np.shape(self.centre_world) != (3,) or not np.isfinite(self.centre_world).all():
            raise ValueError(f"unit cube: expected a centre of 3 finite coordinates, found {self.centre_world}")

    @classmethod
    def around(cls, bounds_world: np.ndarray) -> UnitFrame:
        """The cube around a box (2, 3): centred over its ground plan, on its lowest point, as long as its longest side.

        As the papers place scans (Peng et al. 2020, section 4.3): the largest extent is 1, the floor at y = -0.5.
        """
        low, high = np.asarray(bounds_world, dtype=np.float64)
        side = float((high - low).max())
        centre = (low + high) / 2
        centre[2] = low[2] + side / 2
        return cls(centre, side)

    def to_unit(self, points_world: np.ndarray) -> np.ndarray:
        """(N, 3) metres -> (N, 3) float64 in the unit cube."""
        moved = (np.asarray(points_world, dtype=np.float64) - self.centre_world) / self.metres_per_unit
        return moved @ up_rotation("y")  # the transpose of its inverse

    def to_world(self, points_unit: np.ndarray) -> np.ndarray:
        """(N, 3) in the unit cube -> (N, 3) float64 metres."""
        turned = np.asarray(points_unit, dtype=np.float64) @ up_rotation("y").T
        return turned * self.metres_per_unit + self.centre_world


UNIT_PADDING = 0.1  # queries reach this share beyond the unit cube
# The padded cube maps to [0, 1) with a margin that the published code has as well: 1e-5 for planes, 1e-3 for grids.
PLANE_MARGIN, GRID_MARGIN = 1e-5, 1e-3


def unit_to_share(points_unit: torch.Tensor, margin: float) -> torch.Tensor:
    """(N, D) in the unit cube -> (N, D) in [0, 1), where the padded cube begins and ends.

    What lies beyond is moved, to 0 or to 1 - margin, as in the code of Peng et al. 2020 (their inputs never do).
    """
    share = points_unit / (1 + UNIT_PADDING + margin) + 0.5
    return share.masked_fill(share >= 1, 1.0 - margin).masked_fill(share < 0, 0.0)


def cells_of_shares(shares: torch.Tensor, resolution: int) -> torch.Tensor:
    """(N, D) in [0, 1) -> (N,) int64 index of the cell, the first axis fastest."""
    places = (shares * resolution).floor().long()
    index = places.new_zeros(len(places))
    for axis in reversed(range(places.shape[1])):
        index = index * resolution + places[:, axis]
    return index
