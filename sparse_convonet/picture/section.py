"""Stage picture: a building's mesh cut open along an upright plane and looked at from the side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparse_convonet.picture.camera import ParallelCamera, heading_off_walls
from sparse_convonet.picture.cutaway import ends_of, render_cutaway
from sparse_convonet.picture.face_sums import spread_areas
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.structures import Mesh

_BIN_M = 0.05
_LEAST_BINS = 40  # over the depth
_MIDDLE = 0.5  # of the depth: the cut lies in it
_ALONG_COSINE, _ACROSS_COSINE = 0.9, 0.3  # a face is along the cut, or across it, within about 25 and 17 degrees
_EVERYWHERE = np.array([[-np.inf, np.inf]])
_BESIDE_BINS = 3  # to each side of the cut that are looked at


def render_section(mesh: Mesh, path: str | Path, *, solid: bool = True, caption: Sequence[str] = ()) -> None:
    """Write a PNG of the mesh (world metres, z up): what stands before a plane is taken away, cut walls are dark.

    The plane runs along the building's long side, in the middle half of its depth, where it cuts the most and the fewest
    walls run along it.
    solid, caption: as of picture.cutaway.render_cutaway.  Raises ValueError for an empty mesh.
    """
    if len(mesh.faces) == 0:
        raise ValueError("picture: expected a mesh with faces, found none; nothing can be shown")
    level = ParallelCamera.looking_down(heading_off_walls(mesh, off_deg=0.0), 0.0)
    turn = np.stack([level.right, level.up, -level.forward])  # what was before the viewer is above
    normals = None if mesh.normals is None else (mesh.normals @ turn.T).astype(mesh.normals.dtype)
    lying = replace(mesh, vertices=mesh.vertices @ turn.T, normals=normals)
    low, high = ends_of(lying)
    slab = Storey(low, low - 0.01 * (high - low), _cut(lying, low, high))
    render_cutaway(
        lying, path, heading_deg=90.0, elevation_deg=90.0, solid=solid, storeys=(slab,), caption=caption, fit=True
    )


def _cut(lying: Mesh, low: float, high: float) -> float:
    """The height at which a mesh that lies on its side is cut: through much surface across the cut, and little along it."""
    corners = lying.vertices[lying.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    cosine = np.abs(normals[:, 2]) / np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    bin_m = min(_BIN_M, (high - low) / _LEAST_BINS)  # smaller for small things
    heights = np.arange(low, high + bin_m, bin_m) + bin_m / 2

    def areas(chosen: np.ndarray) -> np.ndarray:
        """(B,) m2 of such faces, over the height."""
        faces = Mesh(lying.vertices, lying.faces[chosen])
        return spread_areas(faces, _EVERYWHERE, np.eye(3)[[2, 2]], np.full(2, low), bin_m, len(heights))[0, 0]

    worth = areas(cosine < _ACROSS_COSINE) - areas(cosine > _ALONG_COSINE)
    worth = np.convolve(worth, np.ones(2 * _BESIDE_BINS + 1), mode="same")
    from_middle = np.abs(heights - (low + high) / 2)
    worth[from_middle > max(_MIDDLE * (high - low) / 2, bin_m)] = -np.inf
    return float(heights[np.lexsort([from_middle, -worth.round(6)])[0]])  # of equals the one nearest to the middle
