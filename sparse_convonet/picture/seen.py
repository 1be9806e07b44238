"""Stage picture: the normals and colours of what a camera sees, subpixel by subpixel, so that a mesh can be drawn in parts.

Once they are known, light and shade need the mesh no more (a buffer of geometry: Deering et al. 1988).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.raster import FRACTION_BITS, SURFACE, Projection, View, edge_weights
from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

_PARTS = 16


@dataclass(frozen=True)
class Seen:
    """Of the surface at each subpixel of a view; zero where none is seen.

    normal: (R, C, 3) float32 unit vectors in the camera's axes (right, up, towards the viewer), never away from it.
    colour: (R, C, 3) float32 from 0 to 1; (0, 0, 3) for meshes without colours.
    """

    normal: np.ndarray
    colour: np.ndarray

    @classmethod
    def blank(cls, shape: tuple[int, int], coloured: bool) -> Seen:
        colour_shape = shape if coloured else (0, 0)
        return cls(np.zeros((*shape, 3), dtype=np.float32), np.zeros((*colour_shape, 3), dtype=np.float32))

    def rows(self, top: int, bottom: int) -> Seen:
        """The same buffers from one row to another."""
        return Seen(self.normal[top:bottom], self.colour[top:bottom])


def resolve(
    seen: Seen, view: View, mesh: Mesh, projection: Projection, camera: ParallelCamera, corner: np.ndarray
) -> None:
    """Write normals and colours where `view` names a face of the mesh.  corner: see Projection.corner."""
    vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    normals = np.zeros((0, 3)) if mesh.normals is None else mesh.normals
    normals = np.ascontiguousarray(normals, dtype=np.float32)
    colours = np.zeros((0, 3)) if mesh.colours is None or len(seen.colour) == 0 else mesh.colours
    colours = np.ascontiguousarray(colours, dtype=np.uint8)
    axes = np.stack([camera.right, camera.up, -camera.forward])
    surface = projection.places, vertices, projection.faces, normals, colours

    def write(part: int, begin: int, end: int) -> None:
        _resolve(*surface, corner, axes, view.shown, view.face, seen.normal, seen.colour, begin, end)

    run_ranges(write, len(view.shown), _PARTS)


@njit
def _surface_normal(vertices, normals, axes, a, b, c, u, v, w):  # type: ignore[no-untyped-def]
    """Unit normal in the camera's axes (right, up, towards the viewer), never away; u, v, w: weights of the vertices."""
    x, y, z, length = 0.0, 0.0, 0.0, 0.0
    if len(normals):
        x = u * normals[a, 0] + v * normals[b, 0] + w * normals[c, 0]
        y = u * normals[a, 1] + v * normals[b, 1] + w * normals[c, 1]
        z = u * normals[a, 2] + v * normals[b, 2] + w * normals[c, 2]
        length = math.sqrt(x * x + y * y + z * z)
    if length < 1e-6:  # the normals cancel out, or there are none
        bx, by, bz = (vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2])
        cx, cy, cz = (vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2])
        x, y, z = by * cz - bz * cy, bz * cx - bx * cz, bx * cy - by * cx
        length = math.sqrt(x * x + y * y + z * z)
    right = (x * axes[0, 0] + y * axes[0, 1] + z * axes[0, 2]) / length
    up = (x * axes[1, 0] + y * axes[1, 1] + z * axes[1, 2]) / length
    near = (x * axes[2, 0] + y * axes[2, 1] + z * axes[2, 2]) / length
    turn = 1.0 if near >= 0 else -1.0
    return turn * right, turn * up, turn * near


@njit(cache=True, nogil=True)
def _resolve(  # type: ignore[no-untyped-def]
    places,
    vertices,  # (V, 3) float64
    faces,
    normals,  # (V, 3) float32 or (0, 3)
    colours,  # (V, 3) uint8 or (0, 3)
    corner,
    axes,  # (3, 3) float64: right, up, towards the viewer
    shown,
    seen_face,
    seen_normal,  # (R, C, 3) float32, written
    seen_colour,  # (R, C, 3) float32, written where there are colours
    begin,
    end,
):
    half = 1 << (FRACTION_BITS - 1)
    for row in range(begin, end):
        for column in range(shown.shape[1]):
            face = seen_face[row, column]
            if face < 0 or shown[row, column] != SURFACE:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            first, second, third, total = edge_weights(
                places, a, b, c, corner[0] + (column << FRACTION_BITS) + half, corner[1] + (row << FRACTION_BITS) + half
            )
            u, v, w = first / total, second / total, third / total
            right, up, near = _surface_normal(vertices, normals, axes, a, b, c, u, v, w)
            seen_normal[row, column, 0] = right
            seen_normal[row, column, 1] = up
            seen_normal[row, column, 2] = near
            if len(colours):
                for channel in range(3):
                    mixed = u * colours[a, channel] + v * colours[b, channel] + w * colours[c, channel]
                    seen_colour[row, column, channel] = mixed / 255.0
