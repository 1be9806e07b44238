"""Turn a triangle mesh that need not be closed into solid voxels, or say why it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SAMPLE_SPACING_VOXELS = 0.45  # below half a voxel, so that neighbouring samples lie in 26-adjacent voxels
SAMPLES_PER_CHUNK = 4_000_000  # bounds the memory of surface_voxels to about 200 MB
LEAST_FILLED_SHARE = 0.01  # of the solid; below it only the surface itself is there and nothing was enclosed

_FACES = ndimage.generate_binary_structure(3, 1)  # 6-neighbourhood
_CORNERS = ndimage.generate_binary_structure(3, 3)  # 26-neighbourhood


@dataclass(frozen=True)
class SolidifySettings:
    """How meshes become solid; lengths in metres.

    The voxel size is the finest of `voxel_sizes_m` with which the bounding box holds at most `cell_budget` cells, or
    the last one where none does.  Gaps up to about `closing_m` wide do not count as openings.  Where the surface
    encloses nothing at that size, as with thin plates, `probe_voxel_size_m` decides whether it encloses anything.
    """

    voxel_sizes_m: tuple[float, ...] = (0.005, 0.01, 0.0125, 0.015, 0.02)
    probe_voxel_size_m: float = 0.005
    cell_budget: int = 250_000
    closing_m: float = 0.04
    smallest_m: float = 0.05
    largest_m: float = 4.0

    def voxel_size_for(self, size_m: np.ndarray) -> float:
        """The voxel size for a model whose bounding box is size_m: (3,) metres."""
        for voxel_size_m in self.voxel_sizes_m:
            if np.prod(np.maximum(size_m / voxel_size_m, 1.0)) <= self.cell_budget:
                return voxel_size_m
        return self.voxel_sizes_m[-1]


class NotSolidError(ValueError):
    """The mesh cannot become a solid model; `reason` is a few words, the same for all meshes that share it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def surface_voxels(triangles: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The voxels that a triangle soup passes through, 26-connected over every triangle.

    triangles: (T, 3, 3) float64 in voxel units; voxel i covers [i, i + 1).  Returns (X, Y, Z) bool.
    Points of a regular barycentric grid are marked, spaced SAMPLE_SPACING_VOXELS or closer along all three edges.
    """
    marked = np.zeros(shape, dtype=bool)
    edges = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2)  # (T, 3)
    steps = np.maximum(np.ceil(edges.max(axis=1) / SAMPLE_SPACING_VOXELS), 1).astype(np.int64)  # (T,)
    limit = np.array(shape) - 1
    for step in np.unique(steps):
        weights = _barycentric_grid(int(step))  # (P, 3)
        group = triangles[steps == step]
        rows = max(SAMPLES_PER_CHUNK // len(weights), 1)
        for start in range(0, len(group), rows):
            samples = np.einsum("pk,tkd->tpd", weights, group[start : start + rows]).reshape(-1, 3)
            cells = np.floor(samples).astype(np.int64)
            if (cells < 0).any() or (cells > limit).any():
                raise ValueError(
                    f"triangles: expected all within the grid of {shape} voxels, found {samples.min(axis=0)} to "
                    f"{samples.max(axis=0)}; make the grid larger or move the mesh"
                )
            marked[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    return marked


def _barycentric_grid(steps: int) -> np.ndarray:
    """Barycentric weights (P, 3) of the regular grid with `steps` intervals along each edge."""
    first, second = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1), indexing="ij")
    keep = first + second <= steps
    weights = np.stack([first[keep], second[keep], steps - first[keep] - second[keep]], axis=1)
    return weights / steps


def fill_enclosed(surface: np.ndarray, closing_voxels: int, closed_sides: tuple[str, ...] = ()) -> np.ndarray:
    """The surface with everything that it encloses, bridging gaps up to about 2 * closing_voxels wide.

    surface: (X, Y, Z) bool.  closed_sides: of "bottom" (z = 0) and "back" (the last y): what is open only towards the
    floor or the wall behind counts as enclosed.  Returns (X, Y, Z) bool, a superset of `surface`.

    Two fills are joined: one without closing, which fills plates a few voxels thick, and one with closing, of which
    only the cavities are kept that are wider than the closed gaps - so the slits of a crib or radiator stay open.
    """
    exact = ~_outside(surface, closed_sides)
    reach = closing_voxels + 1
    padded = np.pad(surface, reach)
    barrier = ndimage.binary_dilation(padded, _CORNERS, iterations=closing_voxels)
    inner = (slice(reach, -reach),) * 3
    outside = _outside(barrier, closed_sides, margin=reach)
    closed = ~ndimage.binary_dilation(outside, _CORNERS, iterations=closing_voxels)[inner] & ~surface
    cavities = (~outside & ~barrier)[inner]
    labels, count = ndimage.label(closed, _FACES)
    wide = np.zeros(count + 1, dtype=bool)
    wide[np.unique(labels[cavities & closed])] = True
    wide[0] = False
    return surface | exact | wide[labels]


def _outside(solid: np.ndarray, closed_sides: tuple[str, ...], margin: int = 0) -> np.ndarray:
    """Empty voxels that a 6-connected path joins to an open side of the grid; the result has the grid's shape.

    margin: how many layers of padding lie between each side of the grid and the piece itself; on a closed side the
    padding is taken as solid.
    """
    blocked = np.pad(solid, 1)
    if "bottom" in closed_sides:
        blocked[:, :, : margin + 1] = True
    if "back" in closed_sides:
        blocked[:, blocked.shape[1] - margin - 1 :, :] = True
    labels, _ = ndimage.label(~blocked, _FACES)
    start = labels[0, 0, -1]  # the front upper corner lies in the open padding whichever sides are closed
    return (labels == start)[1:-1, 1:-1, 1:-1]


def solidify(
    vertices: np.ndarray,
    faces: np.ndarray,
    settings: SolidifySettings = SolidifySettings(),
    *,
    closed_sides: tuple[str, ...] = ("bottom",),
) -> tuple[np.ndarray, float]:
    """Solid voxels of a mesh, trimmed to what is occupied, and their size in metres.

    vertices: (V, 3) float64 metres, z up.  faces: (F, 3) int.  Returns (X, Y, Z) bool and voxel_size_m.
    Marking the voxels that the surface passes through adds half a voxel on every side, so the mesh is first drawn in
    by half a voxel: the outer size of the result is the size of the mesh, rounded to voxels.
    Raises NotSolidError when the mesh is empty, too small, too large or encloses nothing.
    """
    if len(faces) == 0 or len(vertices) == 0:
        raise NotSolidError("empty", "the mesh has no faces")
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces)]  # (T, 3, 3)
    if not np.isfinite(corners).all():
        raise NotSolidError("not finite", "the mesh has vertices that are not finite numbers")
    low = corners.min(axis=(0, 1))
    size_m = corners.max(axis=(0, 1)) - low
    if size_m.max() < settings.smallest_m:
        raise NotSolidError("too small", f"largest side {size_m.max():.3f} m, at least {settings.smallest_m} m needed")
    if size_m.max() > settings.largest_m:
        raise NotSolidError("too large", f"largest side {size_m.max():.2f} m, at most {settings.largest_m} m allowed")
    voxel_size_m = settings.voxel_size_for(size_m)
    surface, solid = _voxelise(corners - low, size_m, voxel_size_m, settings.closing_m, closed_sides)
    if not _encloses(surface, solid):
        probe_m = settings.probe_voxel_size_m
        if voxel_size_m <= probe_m or not _encloses(
            *_voxelise(corners - low, size_m, probe_m, settings.closing_m, closed_sides)
        ):
            raise NotSolidError("no inside", f"its surface encloses nothing, not even with voxels of {probe_m} m")
    return trim(solid), voxel_size_m


def _encloses(surface: np.ndarray, solid: np.ndarray) -> bool:
    return bool(solid.sum() - surface.sum() > LEAST_FILLED_SHARE * solid.sum())


def _voxelise(
    corners: np.ndarray, size_m: np.ndarray, voxel_size_m: float, closing_m: float, closed_sides: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Surface and solid voxels, both (X, Y, Z) bool, of triangles (T, 3, 3) metres with their lowest corner at 0."""
    size = size_m / voxel_size_m
    drawn_in = np.maximum(size - 1.0, 0.0)
    scale = np.divide(drawn_in, size, out=np.zeros(3), where=size > 0)
    shape = np.floor(drawn_in + 0.5 + 1e-9).astype(int) + 1  # 1e-9: rounding may carry the last vertex over a border
    surface = surface_voxels(corners / voxel_size_m * scale + 0.5, (int(shape[0]), int(shape[1]), int(shape[2])))
    closing_voxels = max(int(round(closing_m / voxel_size_m / 2)), 1)
    return surface, fill_enclosed(surface, closing_voxels, closed_sides)


def trim(solid: np.ndarray) -> np.ndarray:
    """The smallest part of a voxel grid that holds all its True voxels; at least one must be True."""
    return np.ascontiguousarray(solid[ndimage.find_objects(solid.astype(np.uint8))[0]])
