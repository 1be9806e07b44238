"""Stage metrics: the compiled loops of coverage.py: lists of triangles in the cells of a grid, and the search in them."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

# Large odd numbers spread the rows of cells over the table; a row runs along z and stays together.
_ROW_X, _ROW_Y = 0x9E3779B1, 0x85EBCA6B
_WAITING = 256  # pieces of one triangle that may wait to be halved: a few for each time its size halves


@njit(cache=True, inline="always")
def _slot(x, y, z, mask):  # type: ignore[no-untyped-def]
    """The place in the table of the cell with the whole numbers x, y, z; several cells may share it."""
    return (np.int64(x) * _ROW_X + np.int64(y) * _ROW_Y + np.int64(z)) & mask


@njit(cache=True, nogil=True)
def fill_grid(vertices, faces, origin, cell, head, entries):  # type: ignore[no-untyped-def]
    """List every triangle in the cells that hold the middles of its pieces; returns the entries used, -1: too many.

    A triangle whose box is longer than `cell` is halved across its longest edge until its pieces are not; so
    each of its points lies within half a cell, along every axis, of the middle of a box that is listed.
    head: (2^n,) int32 filled with -1, receives the last entry of the slot's list.
    entries: (E, 2) int32, the previous entry of the list (-1 = none) and the triangle.
    """
    mask = head.shape[0] - 1
    pieces = np.empty((_WAITING, 9))
    used = 0
    for face in range(faces.shape[0]):
        for corner in range(3):
            for axis in range(3):
                pieces[0, 3 * corner + axis] = vertices[faces[face, corner], axis] - origin[axis]
        waiting = 1
        while waiting > 0:
            piece = pieces[waiting - 1]
            low_x, high_x = min(piece[0], piece[3], piece[6]), max(piece[0], piece[3], piece[6])
            low_y, high_y = min(piece[1], piece[4], piece[7]), max(piece[1], piece[4], piece[7])
            low_z, high_z = min(piece[2], piece[5], piece[8]), max(piece[2], piece[5], piece[8])
            if max(high_x - low_x, high_y - low_y, high_z - low_z) > cell:
                if waiting == _WAITING:
                    return -1
                _halve(pieces, waiting)
                waiting += 1
                continue
            waiting -= 1
            x, y, z = (low_x + high_x) / (2 * cell), (low_y + high_y) / (2 * cell), (low_z + high_z) / (2 * cell)
            slot = _slot(np.floor(x), np.floor(y), np.floor(z), mask)
            last = head[slot]
            if last >= 0 and entries[last, 1] == face:
                continue  # another piece of the same triangle
            if used == entries.shape[0]:
                return -1
            entries[used, 0] = last
            entries[used, 1] = face
            head[slot] = used
            used += 1
    return used


@njit(cache=True)
def _halve(pieces, waiting):  # type: ignore[no-untyped-def]
    """Replace the last waiting triangle (9,) by its halves on either side of the middle of its longest edge."""
    first, longest = 0, -1.0
    for corner in range(3):
        length = 0.0
        for axis in range(3):
            step = pieces[waiting - 1, 3 * corner + axis] - pieces[waiting - 1, (3 * corner + axis + 3) % 9]
            length += step * step
        if length > longest:
            first, longest = corner, length
    for number in range(9):
        pieces[waiting, number] = pieces[waiting - 1, number]
    for axis in range(3):
        start, end = 3 * first + axis, (3 * first + axis + 3) % 9
        middle = (pieces[waiting, start] + pieces[waiting, end]) / 2
        pieces[waiting - 1, end] = middle
        pieces[waiting, start] = middle


@njit(cache=True, inline="always")
def _to_segment(px, py, pz, ux, uy, uz):  # type: ignore[no-untyped-def]
    """Squared distance from a point to the segment from the origin to u."""
    length = ux * ux + uy * uy + uz * uz
    share = px * ux + py * uy + pz * uz
    share = min(1.0, share / length) if share > 0.0 and length > 0.0 else 0.0
    x, y, z = px - share * ux, py - share * uy, pz - share * uz
    return x * x + y * y + z * z


@njit(cache=True, inline="always")
def _side(px, py, pz, ux, uy, uz, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Above zero on the inner side of the edge u from the origin, of a triangle with the normal n."""
    return (uy * pz - uz * py) * nx + (uz * px - ux * pz) * ny + (ux * py - uy * px) * nz


@njit(cache=True)
def _is_near(vertices, a, b, c, x, y, z, squared):  # type: ignore[no-untyped-def]
    """Whether the squared distance from a point to a triangle is at most `squared`; cheap answers first."""
    ax, ay, az = x - vertices[a, 0], y - vertices[a, 1], z - vertices[a, 2]
    bx, by, bz = x - vertices[b, 0], y - vertices[b, 1], z - vertices[b, 2]
    cx, cy, cz = x - vertices[c, 0], y - vertices[c, 1], z - vertices[c, 2]
    if ax * ax + ay * ay + az * az <= squared or bx * bx + by * by + bz * bz <= squared:
        return True
    gx = max(0.0, min(ax, bx, cx), -max(ax, bx, cx))  # to the box around the triangle
    gy = max(0.0, min(ay, by, cy), -max(ay, by, cy))
    gz = max(0.0, min(az, bz, cz), -max(az, bz, cz))
    if gx * gx + gy * gy + gz * gz > squared:
        return False
    ux, uy, uz = ax - bx, ay - by, az - bz  # from a to b
    vx, vy, vz = bx - cx, by - cy, bz - cz  # from b to c
    wx, wy, wz = cx - ax, cy - ay, cz - az  # from c to a
    if (
        _to_segment(ax, ay, az, ux, uy, uz) <= squared
        or _to_segment(bx, by, bz, vx, vy, vz) <= squared
        or _to_segment(cx, cy, cz, wx, wy, wz) <= squared
    ):
        return True
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    height = ax * nx + ay * ny + az * nz  # times the length of the normal
    return (
        height * height <= squared * (nx * nx + ny * ny + nz * nz)
        and _side(ax, ay, az, ux, uy, uz, nx, ny, nz) > 0.0
        and _side(bx, by, bz, vx, vy, vz, nx, ny, nz) > 0.0
        and _side(cx, cy, cz, wx, wy, wz, nx, ny, nz) > 0.0
    )


@njit(cache=True, inline="always")
def _list_has_near(vertices, faces, entries, entry, x, y, z, squared):  # type: ignore[no-untyped-def]
    while entry >= 0:
        face = entries[entry, 1]
        if _is_near(vertices, faces[face, 0], faces[face, 1], faces[face, 2], x, y, z, squared):
            return True
        entry = entries[entry, 0]
    return False


@njit(cache=True, inline="always")
def _gap(place, index, half):  # type: ignore[no-untyped-def]
    """Along one axis, in cells: how far cell `index`, wider by `half` to both sides, begins from a place."""
    return max(0.0, index - half - place, place - index - 1.0 - half)


@njit(cache=True, nogil=True)
def rank_points(  # type: ignore[no-untyped-def]
    points, vertices, faces, origin, cell, head, entries, offsets, squares, half, ranks, begin, end
):
    """ranks (N,) int8: how many of the distances are less than that from the point to the mesh.

    squares: (D,) the squared distances, ascending.  offsets: (O, 3) float64, whole numbers of cells, the nearest
    first, that reach as far as the last distance.  half: of a cell, with a margin for rounding.
    Cells are searched distance by distance; a point is done as soon as one triangle is near enough.
    """
    mask = head.shape[0] - 1
    for point in range(begin, end):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        px, py, pz = (x - origin[0]) / cell, (y - origin[1]) / cell, (z - origin[2]) / cell
        ix, iy, iz = np.floor(px), np.floor(py), np.floor(pz)
        found, rank = False, 0
        while not found and rank < squares.shape[0]:
            squared = squares[rank]
            reach = squared / (cell * cell)
            number = 0
            while not found and number < offsets.shape[0]:
                cx, cy, cz = ix + offsets[number, 0], iy + offsets[number, 1], iz + offsets[number, 2]
                gx, gy, gz = _gap(px, cx, half), _gap(py, cy, half), _gap(pz, cz, half)
                if gx * gx + gy * gy + gz * gz <= reach:
                    first = head[_slot(cx, cy, cz, mask)]
                    found = _list_has_near(vertices, faces, entries, first, x, y, z, squared)
                number += 1
            rank += 0 if found else 1
        ranks[point] = rank
