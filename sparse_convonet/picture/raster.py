"""Stage picture: which face of a mesh a parallel camera sees in which subpixel, drawn face by face.

Vertices are rounded to fractions of a subpixel and edges computed in whole numbers, borders included, so that faces
which share an edge leave no gap.  At one subpixel what lies higher is nearer to the camera, for it looks down: the
buffer of depths is one of heights, and a storey's cut and bottom are a range of heights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.picture.camera import Panel, ParallelCamera
from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

NOTHING, SURFACE, SECTION = 0, 1, 2  # what a subpixel shows
FRACTION_BITS = 8
_STEPS = 1 << FRACTION_BITS  # of a vertex' place within a subpixel
_FARTHEST = float(1 << 29)  # steps off the origin: products of differences of such stay below 62 bits
_PARTS = 16


@dataclass(frozen=True)
class Projection:
    """A mesh in the camera's plane, ready to be drawn.

    places: (V, 2) int32, steps of 1 / 256 subpixel to the right and down from origin_plane.
    heights: (V,) float32, metres above origin_z.  faces: (F, 3) int64.  origin_plane: (2,) metres to the right and up.
    """

    places: np.ndarray
    heights: np.ndarray
    faces: np.ndarray
    origin_plane: np.ndarray
    origin_z: float
    subpixel_m: float

    @classmethod
    def of(
        cls, mesh: Mesh, camera: ParallelCamera, origin_plane: np.ndarray, origin_z: float, subpixel_m: float
    ) -> Projection:
        vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
        places, heights = np.empty((len(vertices), 2), dtype=np.int32), np.empty(len(vertices), dtype=np.float32)
        axes = np.stack([camera.right, -camera.up]) * (_STEPS / subpixel_m)
        offset = np.array([origin_plane[0], -origin_plane[1]]) * (_STEPS / subpixel_m)

        def project(part: int, begin: int, end: int) -> None:
            _project(vertices, axes, offset, origin_z, places, heights, begin, end)

        run_ranges(project, len(vertices), _PARTS)
        faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
        return cls(places, heights, faces, origin_plane, origin_z, subpixel_m)

    def corner(self, panel: Panel) -> np.ndarray:
        """(2,) int64: the top left corner of a panel, in the units of `places`."""
        offset = (panel.top_left - self.origin_plane) / self.subpixel_m * _STEPS
        return np.rint([offset[0], -offset[1]]).astype(np.int64)


@dataclass(frozen=True)
class View:
    """What is seen at the centre of each subpixel of a panel.

    shown: (R, C) uint8, NOTHING, SURFACE or SECTION (the inside of the solid).  face: (R, C) int32, -1 where nothing is
    shown.  height: (R, C) float32, metres above the projection's origin_z; -inf where nothing is shown.  exit_height:
    (R, C) float32, that of the first face met from behind, where the view leaves the solid; -inf where there is none.
    """

    shown: np.ndarray
    face: np.ndarray
    height: np.ndarray
    exit_height: np.ndarray

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> View:
        """Nothing is seen."""
        return cls(
            shown=np.zeros(shape, dtype=np.uint8),
            face=np.full(shape, -1, dtype=np.int32),
            height=np.full(shape, -np.inf, dtype=np.float32),
            exit_height=np.full(shape, -np.inf, dtype=np.float32),
        )

    def rows(self, top: int, bottom: int) -> View:
        """The same buffers from one row to another."""
        return View(
            self.shown[top:bottom], self.face[top:bottom], self.height[top:bottom], self.exit_height[top:bottom]
        )


def look(
    projection: Projection, corner: np.ndarray, shape: tuple[int, int], low: float, high: float, solid: bool
) -> View:
    """Draw what lies between two heights (metres above origin_z), both included.

    corner: (2,) int64, see Projection.corner.  shape: rows and columns of subpixels.  solid: faces seen from behind are
    sections.  Of fragments at the same height that of a face seen from outside wins, then that of the first face.
    """
    view = View.blank(shape)
    draw(view, projection, corner, low, high, solid)
    return view


def draw(view: View, projection: Projection, corner: np.ndarray, low: float, high: float, solid: bool) -> None:
    """As look, into a view that may show another part of the mesh already; that part's faces count as the first ones.

    Where something of this part is seen, `face` names its face.
    """
    places, heights, faces = projection.places, projection.heights, projection.faces
    shape = view.shown.shape
    chosen = np.empty((len(faces), 3), dtype=np.int32)  # face, its first and its last row
    ranges = np.zeros((_PARTS, 2), dtype=np.int64)  # of `chosen` that are filled

    def choose(part: int, begin: int, end: int) -> None:
        count = _choose(places, heights, faces, corner, shape[0], shape[1], low, high, chosen, begin, end)
        ranges[part] = begin, begin + count

    def fill(part: int, begin: int, end: int) -> None:
        buffers = view.shown, view.face, view.height, view.exit_height
        _draw(places, heights, faces, corner, low, high, solid, chosen, ranges, *buffers, begin, end)

    run_ranges(choose, len(faces), _PARTS)
    run_ranges(fill, shape[0], _PARTS)


@njit(cache=True, nogil=True)
def _project(vertices, axes, offset, origin_z, places, heights, begin, end):  # type: ignore[no-untyped-def]
    """axes: (2, 3) float64, steps per metre.  offset: (2,) float64, steps."""
    for vertex in range(begin, end):
        x, y, z = vertices[vertex, 0], vertices[vertex, 1], vertices[vertex, 2]
        for axis in range(2):
            place = x * axes[axis, 0] + y * axes[axis, 1] + z * axes[axis, 2] - offset[axis]
            places[vertex, axis] = np.int32(np.rint(min(max(place, -_FARTHEST), _FARTHEST)))
        heights[vertex] = z - origin_z


@njit
def _centres(first, second, third, corner):  # type: ignore[no-untyped-def]
    """The first and the last subpixel, counted from a panel's corner, whose centre lies within three places."""
    half = _STEPS // 2
    low = np.int64(min(first, second, third)) - corner
    high = np.int64(max(first, second, third)) - corner
    return (low + half - 1) >> FRACTION_BITS, (high - half) >> FRACTION_BITS


@njit(cache=True, nogil=True)
def _choose(  # type: ignore[no-untyped-def]
    places,
    heights,
    faces,
    corner,
    rows,
    columns,
    low,
    high,
    chosen,  # (F, 3) int32, written from `begin` on
    begin,
    end,
):
    """Faces that reach into the panel and the range of heights and may cover the centre of a subpixel; how many."""
    place = begin
    for face in range(begin, end):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        if max(heights[a], heights[b], heights[c]) < low or min(heights[a], heights[b], heights[c]) > high:
            continue
        left, right = _centres(places[a, 0], places[b, 0], places[c, 0], corner[0])
        top, bottom = _centres(places[a, 1], places[b, 1], places[c, 1], corner[1])
        if left <= right and top <= bottom and left < columns and right >= 0 and top < rows and bottom >= 0:
            chosen[place, 0], chosen[place, 1], chosen[place, 2] = face, max(top, 0), min(bottom, rows - 1)
            place += 1
    return place - begin


@njit
def edge_weights(places, a, b, c, column, row):  # type: ignore[no-untyped-def]
    """Weights of a face's vertices at a place (steps), and their sum, int64: negative for a face seen from outside."""
    ax, ay = places[a, 0] - column, places[a, 1] - row
    bx, by = places[b, 0] - column, places[b, 1] - row
    cx, cy = places[c, 0] - column, places[c, 1] - row
    first, second, third = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    return first, second, third, first + second + third


@njit(cache=True, nogil=True)
def _draw(  # type: ignore[no-untyped-def]
    places,
    heights,
    faces,
    corner,
    low,
    high,
    solid,
    chosen,
    ranges,  # (P, 2) int64
    shown,
    seen_face,
    seen_height,
    exit_height,
    begin,
    end,
):
    """Rows begin to end of the buffers of a View."""
    last_column = shown.shape[1] - 1
    for part in range(len(ranges)):
        for place in range(ranges[part, 0], ranges[part, 1]):
            top, bottom = max(np.int64(chosen[place, 1]), begin), min(np.int64(chosen[place, 2]), end - 1)
            if top > bottom:
                continue
            face = chosen[place, 0]
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            left, right = _centres(places[a, 0], places[b, 0], places[c, 0], corner[0])
            left, right = max(left, 0), min(right, last_column)
            column = corner[0] + (left << FRACTION_BITS) + _STEPS // 2
            row = corner[1] + (top << FRACTION_BITS) + _STEPS // 2
            first, second, third, total = edge_weights(places, a, b, c, column, row)
            if total == 0:
                continue
            outside = total < 0
            kind = np.uint8(SURFACE if outside or not solid else SECTION)
            turn = -1 if outside else 1
            first, second, third = turn * first, turn * second, turn * third
            # How each weight grows from one subpixel to the next.
            step = np.int64(turn * _STEPS)
            first_right, first_down = step * (places[b, 1] - places[c, 1]), step * (places[c, 0] - places[b, 0])
            second_right, second_down = step * (places[c, 1] - places[a, 1]), step * (places[a, 0] - places[c, 0])
            third_right, third_down = step * (places[a, 1] - places[b, 1]), step * (places[b, 0] - places[a, 0])
            scale = 1.0 / abs(total)
            for r in range(top, bottom + 1):
                u, v, w = first, second, third
                for q in range(left, right + 1):
                    if (u | v | w) >= 0:  # none is negative
                        height = np.float32((u * heights[a] + v * heights[b] + w * heights[c]) * scale)
                        if low <= height <= high:
                            best = seen_height[r, q]
                            if height > best or (height == best and outside and shown[r, q] == SECTION):
                                seen_height[r, q], seen_face[r, q], shown[r, q] = height, face, kind
                            if not outside and height > exit_height[r, q]:
                                exit_height[r, q] = height
                    u, v, w = u + first_right, v + second_right, w + third_right
                first, second, third = first + first_down, second + second_down, third + third_down
