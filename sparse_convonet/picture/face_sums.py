"""Stage picture: sums and extents over all faces of a mesh, each in one compiled pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

_PARTS = 16  # of the faces; their sums are added up in order, so that threads change no digit


@njit
def scaled_normal(vertices, faces, face):  # type: ignore[no-untyped-def]
    """The normal times twice the area."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    bx, by, bz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
    cx, cy, cz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
    return by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx


@njit(cache=True, nogil=True)
def _add_areas(  # type: ignore[no-untyped-def]
    vertices,  # (V, 3) float64
    faces,  # (F, 3) int64
    shown,  # (V,) bool
    low,
    bin_m,
    level_cosine,
    upright_cosine,
    areas,  # (3, B) float64, added to: facing up, facing down, upright
    begin,
    end,
):
    for face in range(begin, end):
        nx, ny, nz = scaled_normal(vertices, faces, face)
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        kind = -1
        if abs(nz) < upright_cosine * length:
            kind = 2
        elif nz > level_cosine * length:
            if shown[faces[face, 0]] or shown[faces[face, 1]] or shown[faces[face, 2]]:
                kind = 0
        elif nz < -level_cosine * length:
            kind = 1
        if kind >= 0:
            height = (vertices[faces[face, 0], 2] + vertices[faces[face, 1], 2] + vertices[faces[face, 2], 2]) / 3
            areas[kind, min(max(int((height - low) / bin_m), 0), areas.shape[1] - 1)] += length / 2


@njit(cache=True, nogil=True)
def _add_turns(vertices, faces, upright_cosine, sums, begin, end):  # type: ignore[no-untyped-def]
    """Add to sums (3,) float64: cosine and sine of four times each upright face's turn, by area, and the area."""
    for face in range(begin, end):
        nx, ny, nz = scaled_normal(vertices, faces, face)
        across = nx * nx + ny * ny
        length = math.sqrt(across + nz * nz)
        if abs(nz) < upright_cosine * length:
            cosine, sine = (nx * nx - ny * ny) / across, 2 * nx * ny / across  # of twice the angle
            sums[0] += length * (cosine * cosine - sine * sine)
            sums[1] += length * 2 * cosine * sine
            sums[2] += length


@njit(cache=True, nogil=True)
def _extend_boxes(  # type: ignore[no-untyped-def]
    vertices,  # (V, 3) float64
    faces,  # (F, 3) int64
    slabs,  # (S, 2) float64, lowest and highest z
    axes,  # (2, 3) float64
    boxes,  # (S, 2, 2) float64, extended
    begin,
    end,
):
    for face in range(begin, end):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        low = min(vertices[a, 2], vertices[b, 2], vertices[c, 2])
        high = max(vertices[a, 2], vertices[b, 2], vertices[c, 2])
        for slab in range(len(slabs)):
            bottom, top = slabs[slab, 0], slabs[slab, 1]
            if low < top and high > bottom:
                for vertex in (a, b, c):
                    x, y, z = vertices[vertex, 0], vertices[vertex, 1], min(max(vertices[vertex, 2], bottom), top)
                    for axis in range(2):
                        value = x * axes[axis, 0] + y * axes[axis, 1] + z * axes[axis, 2]
                        boxes[slab, 0, axis] = min(boxes[slab, 0, axis], value)
                        boxes[slab, 1, axis] = max(boxes[slab, 1, axis], value)


@njit(cache=True, nogil=True)
def _spread_areas(  # type: ignore[no-untyped-def]
    vertices,  # (V, 3) float64
    faces,  # (F, 3) int64
    slabs,  # (S, 2) float64, lowest and highest z
    axes,  # (2, 3) float64
    least,  # (2,) float64
    bin_m,
    areas,  # (S, 2, B) float64, added to
    begin,
    end,
):
    last = areas.shape[2] - 1
    for face in range(begin, end):
        nx, ny, nz = scaled_normal(vertices, faces, face)
        area = math.sqrt(nx * nx + ny * ny + nz * nz) / 2
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        low = min(vertices[a, 2], vertices[b, 2], vertices[c, 2])
        high = max(vertices[a, 2], vertices[b, 2], vertices[c, 2])
        for slab in range(len(slabs)):
            bottom, top = slabs[slab, 0], slabs[slab, 1]
            if low >= top or high <= bottom:
                continue
            for axis in range(2):
                first, stop = np.inf, -np.inf
                for vertex in (a, b, c):
                    x, y, z = vertices[vertex, 0], vertices[vertex, 1], min(max(vertices[vertex, 2], bottom), top)
                    value = x * axes[axis, 0] + y * axes[axis, 1] + z * axes[axis, 2]
                    first, stop = min(first, value), max(stop, value)
                first_bin = min(max(int((first - least[axis]) / bin_m), 0), last)
                last_bin = min(max(int((stop - least[axis]) / bin_m), 0), last)
                for place in range(first_bin, last_bin + 1):
                    areas[slab, axis, place] += area / (last_bin - first_bin + 1)


def _arrays(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(mesh.vertices, dtype=np.float64), np.ascontiguousarray(mesh.faces, dtype=np.int64)


def area_over_height(
    mesh: Mesh, low: float, bin_m: float, count: int, level_cosine: float, upright_cosine: float
) -> np.ndarray:
    """(3, count) float64, m2: area per bin of height from `low` up of faces that face up, face down, are upright.

    A face belongs to the bin of its centroid.  It is level where its normal's |z| exceeds `level_cosine`, upright
    where that is less than `upright_cosine`.  Of faces that face up only those count of which a vertex is "observed",
    where the mesh has that attribute: the top of a ceiling that the network guessed is no floor.
    """
    vertices, faces = _arrays(mesh)
    shown = np.asarray(mesh.attributes.get("observed", np.ones(len(vertices))), dtype=np.bool_)
    areas = np.zeros((_PARTS, 3, count))

    def add(part: int, begin: int, end: int) -> None:
        _add_areas(vertices, faces, shown, low, bin_m, level_cosine, upright_cosine, areas[part], begin, end)

    run_ranges(add, len(faces), _PARTS)
    return areas.sum(axis=0)


def walls_turn(mesh: Mesh, upright_cosine: float) -> float | None:
    """Main horizontal direction of the upright faces' normals in radians, up to quarter turns; None without any.

    Directions that differ by quarter turns fall together when their angle is multiplied by four.
    """
    return turn_of(turn_sums(mesh, upright_cosine))


def turn_sums(mesh: Mesh, upright_cosine: float) -> np.ndarray:
    """(3,) float64: what walls_turn adds up over the faces; the sums of parts of a mesh add to those of the whole."""
    vertices, faces = _arrays(mesh)
    sums = np.zeros((_PARTS, 3))

    def add(part: int, begin: int, end: int) -> None:
        _add_turns(vertices, faces, upright_cosine, sums[part], begin, end)

    run_ranges(add, len(faces), _PARTS)
    return sums.sum(axis=0)


def turn_of(sums: np.ndarray) -> float | None:
    """The turn of walls_turn from the sums (3,) of turn_sums."""
    cosine, sine, area = sums
    return math.atan2(sine, cosine) / 4 if area > 0 else None


def boxes_of_slabs(mesh: Mesh, slabs: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(S, 2, 2) float64: lowest and highest coordinates along two axes of the faces within each slab of height.

    slabs: (S, 2) lowest and highest z; vertices beyond count as if they lay on its border.  axes: (2, 3).  A slab
    without faces has a box of zeros.
    """
    return joined_boxes([extents_of_slabs(mesh, slabs, axes)])


def joined_boxes(extents: Sequence[np.ndarray]) -> np.ndarray:
    """(S, 2, 2): boxes_of_slabs of a mesh from the extents_of_slabs of its parts."""
    low, high = (end([extent[:, n] for extent in extents], axis=0) for n, end in enumerate((np.min, np.max)))
    whole = np.stack([low, high], axis=1)
    whole[np.isinf(whole[:, 0, 0])] = 0.0
    return whole


def extents_of_slabs(mesh: Mesh, slabs: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(S, 2, 2): boxes_of_slabs, but a slab without faces has a box from infinity to -infinity."""
    vertices, faces = _arrays(mesh)
    boxes = np.empty((_PARTS, len(slabs), 2, 2))
    boxes[:, :, 0], boxes[:, :, 1] = np.inf, -np.inf

    def extend(part: int, begin: int, end: int) -> None:
        _extend_boxes(vertices, faces, slabs, axes, boxes[part], begin, end)

    run_ranges(extend, len(faces), _PARTS)
    return np.stack([boxes[:, :, 0].min(axis=0), boxes[:, :, 1].max(axis=0)], axis=1)


def spread_areas(
    mesh: Mesh, slabs: np.ndarray, axes: np.ndarray, low: np.ndarray, bin_m: float, count: int
) -> np.ndarray:
    """(S, 2, count) float64, m2: the area of the faces within each slab of height, over bins along two axes.

    slabs, axes: of boxes_of_slabs.  low: (2,) where the bins begin.  A face is spread over the bins that it reaches.
    """
    vertices, faces = _arrays(mesh)
    areas = np.zeros((_PARTS, len(slabs), 2, count))

    def add(part: int, begin: int, end: int) -> None:
        _spread_areas(vertices, faces, slabs, axes, low, bin_m, areas[part], begin, end)

    run_ranges(add, len(faces), _PARTS)
    return areas.sum(axis=0)
