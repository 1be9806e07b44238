"""Stage mesh: the compiled loops of texture.py."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

_LEAST_AREA = 1e-12
_INSIDE = -1e-9  # of a barycentric coordinate: a texel on the edge of two faces must not fall between them


@njit(cache=True, nogil=True)
def owners_of_rows(corners, top, bottom, width):  # type: ignore[no-untyped-def]
    """Which face the centre of each texel lies in, and where in it.

    corners: (F, 3, 2) texels, x and y.  Of the rows from top to below bottom: (R, width) int64, -1 for none, the first of
    several; (R, width, 3) float64 barycentric coordinates.
    """
    owner = np.full((bottom - top, width), -1, dtype=np.int64)
    weights = np.zeros((bottom - top, width, 3))
    for face in range(corners.shape[0]):
        ax, ay = corners[face, 0]
        bx, by = corners[face, 1]
        cx, cy = corners[face, 2]
        first, last = max(top, int(np.floor(min(ay, by, cy)))), min(bottom - 1, int(np.floor(max(ay, by, cy))))
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if first > last or abs(area) < _LEAST_AREA:
            continue
        left, right = max(0, int(np.floor(min(ax, bx, cx)))), min(width - 1, int(np.floor(max(ax, bx, cx))))
        for row in range(first, last + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                if owner[row - top, column] >= 0:
                    continue
                x = column + 0.5
                second = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
                third = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
                if second >= _INSIDE and third >= _INSIDE and second + third <= 1 - _INSIDE:
                    owner[row - top, column] = face
                    weights[row - top, column, 0] = 1 - second - third
                    weights[row - top, column, 1] = second
                    weights[row - top, column, 2] = third
    return owner, weights


@njit(cache=True, nogil=True)
def fill_beside(picture, known):  # type: ignore[no-untyped-def]
    """(H, W, 3) uint8 and (H, W) bool, with the texels that touch known ones known as well: the means of these."""
    filled, now_known = picture.copy(), known.copy()
    height, width = known.shape
    for row in range(height):
        for column in range(width):
            if known[row, column]:
                continue
            count, red, green, blue = 0, 0, 0, 0
            for other_row in range(max(0, row - 1), min(height, row + 2)):
                for other_column in range(max(0, column - 1), min(width, column + 2)):
                    if known[other_row, other_column]:
                        count += 1
                        red += picture[other_row, other_column, 0]
                        green += picture[other_row, other_column, 1]
                        blue += picture[other_row, other_column, 2]
            if count:
                filled[row, column, 0] = (red + count // 2) // count
                filled[row, column, 1] = (green + count // 2) // count
                filled[row, column, 2] = (blue + count // 2) // count
                now_known[row, column] = True
    return filled, now_known
