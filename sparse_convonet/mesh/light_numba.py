"""Stage mesh: the compiled loop of light.py."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, nogil=True)
def number_by_first_use(faces, lowest, highest):  # type: ignore[no-untyped-def]
    """(V,) int64 the vertices that faces (F, 3) name, in the order of their first use, and (F, 3) int64 their places there.

    lowest, highest: of the names.
    """
    place = np.full(highest - lowest + 1, -1, dtype=np.int32)
    local, names, count = np.empty(faces.shape, dtype=np.int64), np.empty(faces.size, dtype=np.int64), 0
    for face in range(faces.shape[0]):
        for corner in range(3):
            name = faces[face, corner] - lowest
            if place[name] < 0:
                place[name] = count
                names[count] = faces[face, corner]
                count += 1
            local[face, corner] = place[name]
    return names[:count].copy(), local
