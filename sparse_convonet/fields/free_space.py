"""Space that is free for sure: the rays from where the scanner stood to what it measured passed through it.

Space carving, as occupancy maps do it (Hornung et al., OctoMap, Autonomous Robots 2013): a cell that a ray passed is
free, unless points are in it or beside it, since noise and the misfit of scans move surfaces by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.coordinates import pack_cells, unpack_cells
from sparse_convonet.fields.free_space_numba import BLOCK, BRICK, HALO, look_up, mark_ends, pass_bricks
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.tile_grid import TileGrid, TileName

CELLS_PER_VOXEL = 2
BRICK_VOXELS = BRICK // CELLS_PER_VOXEL
BRICKS = TileGrid((0, 0, 0), (BRICK_VOXELS,) * 3)  # in voxels
_MARGIN_CELLS = 2.0  # before its end, a ray is not known to pass: noise
_MOST_RAYS = 16_000_000
_BRICKS_AT_ONCE = 128  # 600 kB each
_QUERIES_AT_ONCE = 4096  # of one thread
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)  # bits that are set in a byte

# Called each time that all rays are looked at.  Yields, in voxel coordinates, (n, 3) points and (n, 3) where the scanner
# stood that measured them, NaN where that is not known.
Rays = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


@dataclass(frozen=True)
class FreeSpace:
    """Free cells of half a voxel, in blocks of 8^3.

    keys: (B,) int64 ascending, of coordinates.pack_cells of the blocks.  masks: (B, 8, 8) uint8, by x and y in the
    block; the bit 1 << z is the cell z.
    """

    keys: np.ndarray
    masks: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[FreeSpace]) -> FreeSpace:
        """That of several parts of space."""
        keys = np.concatenate([np.zeros(0, dtype=np.int64), *(part.keys for part in parts)])
        masks = np.concatenate([np.zeros((0, BLOCK, BLOCK), dtype=np.uint8), *(part.masks for part in parts)])
        order = np.argsort(keys)
        return cls(keys[order], masks[order])

    @property
    def cells(self) -> int:
        """How many cells are free."""
        return int(_ONES[self.masks].sum())

    def shares(self, queries_voxel: np.ndarray) -> np.ndarray:
        """Of (Q, 3) voxel coordinates: how free the space around is, (Q,) float32 in 0 to 1, trilinear between the
        centres of the cells."""
        return self._look_up(queries_voxel, np.zeros((0, 3), dtype=np.float32))

    def shares_and_gradients(self, queries_voxel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same, and its gradient per voxel, (Q, 3) float32."""
        gradients = np.zeros((len(queries_voxel), 3), dtype=np.float32)
        return self._look_up(queries_voxel, gradients), gradients * CELLS_PER_VOXEL

    def _look_up(self, queries_voxel: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        places = _cells(queries_voxel)
        shares = np.zeros(len(places), dtype=np.float32)
        run_ranges(
            lambda part, begin, end: look_up(self.keys, self.masks, places, shares, gradients, begin, end),
            len(places),
            max(1, len(places) // _QUERIES_AT_ONCE),
        )
        return shares


def find_free_space(rays: Rays, count: int) -> Iterator[tuple[TileName, FreeSpace]]:
    """The free space by bricks of BRICKS, those that hold points and those around; bricks without any are left out.

    count: of all points.  The same whatever parts they come in.  Memory: 80 MB and one part.
    """
    near = _bricks_near(rays)
    for begin in range(0, len(near), _BRICKS_AT_ONCE):
        bricks = near[begin : begin + _BRICKS_AT_ONCE]
        edge = BRICK + 2 * HALO
        met = np.zeros((len(bricks), edge, edge, -(-edge // 8)), dtype=np.uint8)
        passed = np.zeros_like(met)
        for ends, starts in rays():
            mark_ends(met, bricks, _cells(ends))
            chosen = in_place_sample(ends, count, _MOST_RAYS)
            pass_bricks(passed, bricks, _cells(starts[chosen]), _cells(ends[chosen]), _MARGIN_CELLS)
        for brick, where_met, where_passed in zip(unpack_cells(bricks).tolist(), met, passed, strict=True):
            if where_passed.any():
                found = _blocks(np.array(brick), _free(_bools(where_passed), _bools(where_met)))
                if len(found.keys):
                    yield tuple(brick), found


def _cells(points_voxel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(points_voxel, dtype=np.float64) * CELLS_PER_VOXEL


def _bricks_near(rays: Rays) -> np.ndarray:
    """(G,) int64 ascending keys of the bricks that hold points, and those around."""
    occupied = np.zeros(0, dtype=np.int64)
    for ends, _ in rays():
        occupied = np.union1d(occupied, pack_cells(BRICKS.tiles_of(ends)))
    around = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.unique(pack_cells((unpack_cells(occupied)[:, None] + around).reshape(-1, 3)))


def _bools(bits: np.ndarray) -> np.ndarray:
    """(S, S, W) uint8 -> (S, S, S) bool, the cells of a brick with its halo."""
    edge = BRICK + 2 * HALO
    return np.unpackbits(bits, axis=2, count=edge, bitorder="little").view(bool)


def _free(passed: np.ndarray, met: np.ndarray) -> np.ndarray:
    """Cells of a brick that are free, (BRICK,) * 3 bool, from those that rays passed and that hold points, with halo.

    Gaps of up to two cells between rays count as passed (a morphological closing with a cube of 3 cells).
    """
    closed = ~_spread(~_spread(passed))
    return closed & ~_spread(met[1:-1, 1:-1, 1:-1])


def _spread(cells: np.ndarray) -> np.ndarray:
    """Dilation with a cube of 3 cells; the result lacks the outermost cells."""
    cells = cells[:-2] | cells[1:-1] | cells[2:]
    cells = cells[:, :-2] | cells[:, 1:-1] | cells[:, 2:]
    return np.asarray(cells[:, :, :-2] | cells[:, :, 1:-1] | cells[:, :, 2:])


def _blocks(brick: np.ndarray, free: np.ndarray) -> FreeSpace:
    """Those of a brick's cells that are free, in blocks."""
    along = BRICK // BLOCK
    masks = np.packbits(free, axis=2, bitorder="little")
    masks = masks.reshape(along, BLOCK, along, BLOCK, along).transpose(0, 2, 4, 1, 3)
    places = np.argwhere(masks.any(axis=(3, 4)))
    return FreeSpace(pack_cells(places + brick * along), masks[tuple(places.T)])
