"""Stage clouds: the compiled loops of ghosts.py: rays through a grid of cells, and the cells that they show to be void."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

_MOST = 65535  # counts are uint16


@njit(cache=True, nogil=True)
def pass_rays(passed, starts, ends, reach):  # type: ignore[no-untyped-def]
    """Count the rays that pass through each cell (Amanatides and Woo 1987).

    passed: (X, Y, Z) uint16, is added to; a ray ends where it leaves the grid.  starts, ends: (n, 3) float64 in cells of
    the grid.  A ray is followed to its end, for at most `reach` cells.
    """
    cell, step = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    following, each = np.empty(3), np.empty(3)
    for ray in range(starts.shape[0]):
        length = 0.0
        for axis in range(3):
            length += (ends[ray, axis] - starts[ray, axis]) ** 2
        length = np.sqrt(length)
        followed = min(length, reach)
        if followed <= 0:
            continue
        for axis in range(3):
            way = (ends[ray, axis] - starts[ray, axis]) / length
            start = starts[ray, axis]
            cell[axis] = np.int64(np.floor(start))
            step[axis] = 1 if way > 0 else -1
            if way == 0:
                following[axis] = each[axis] = np.inf
            else:
                border = cell[axis] + 1 if way > 0 else cell[axis]
                following[axis] = (border - start) / way
                each[axis] = abs(1 / way)
        _walk(passed, cell, step, following, each, followed)


@njit(cache=True, inline="always")
def nearest_border(following):  # type: ignore[no-untyped-def]
    """The axis along which a ray next leaves its cell.  following: (3,) how far it is to the next border along each."""
    axis = 0
    if following[1] < following[axis]:
        axis = 1
    if following[2] < following[axis]:
        axis = 2
    return axis


@njit(cache=True, inline="always")
def _walk(passed, cell, step, following, each, followed):  # type: ignore[no-untyped-def]
    """cell: where the ray begins.  following: (3,) how far it is to the next border along each axis.  each: between
    borders."""
    while True:
        for axis in range(3):
            if cell[axis] < 0 or cell[axis] >= passed.shape[axis]:
                return
        count = passed[cell[0], cell[1], cell[2]]
        if count < _MOST:
            passed[cell[0], cell[1], cell[2]] = count + 1
        axis = nearest_border(following)
        if following[axis] > followed:
            return
        cell[axis] += step[axis]
        following[axis] += each[axis]


@njit(cache=True, nogil=True)
def find_void(passed, met, cells, least):  # type: ignore[no-untyped-def]
    """(C, 3) int64 cells of the grid, of which none lies on its rim -> (C,) bool, whether they are void.

    Void is a cell that at least `least` rays passed, with all around passed by one, where none ended; and one beside
    such a cell that as many passed, and none ended in: so feet go with their walker, but for what touches the floor.
    met: (X, Y, Z) bool, where rays ended.
    """
    core = np.zeros(passed.shape, dtype=np.bool_)
    for row in range(cells.shape[0]):
        x, y, z = cells[row]
        if passed[x, y, z] >= least:
            core[x, y, z] = _all_passed(passed, met, x, y, z)
    void = np.zeros(cells.shape[0], dtype=np.bool_)
    for row in range(cells.shape[0]):
        x, y, z = cells[row]
        void[row] = core[x, y, z] or (passed[x, y, z] >= least and not met[x, y, z] and _any_around(core, x, y, z))
    return void


@njit(cache=True, inline="always")
def _is_inside(shape, x, y, z):  # type: ignore[no-untyped-def]
    return 0 < x < shape[0] - 1 and 0 < y < shape[1] - 1 and 0 < z < shape[2] - 1


@njit(cache=True)
def _all_passed(passed, met, x, y, z):  # type: ignore[no-untyped-def]
    if not _is_inside(passed.shape, x, y, z):
        return False
    for i in range(x - 1, x + 2):
        for j in range(y - 1, y + 2):
            for k in range(z - 1, z + 2):
                if passed[i, j, k] == 0 or met[i, j, k]:
                    return False
    return True


@njit(cache=True)
def _any_around(core, x, y, z):  # type: ignore[no-untyped-def]
    if not _is_inside(core.shape, x, y, z):
        return False
    for i in range(x - 1, x + 2):
        for j in range(y - 1, y + 2):
            for k in range(z - 1, z + 2):
                if core[i, j, k]:
                    return True
    return False
