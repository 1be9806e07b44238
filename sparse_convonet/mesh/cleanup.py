"""Stage mesh: remove small pieces and crumbs; what goes is counted and logged."""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.mesh.topology import face_areas, keep_faces, vertex_components
from sparse_convonet.mesh.topology_numba import measure_pieces
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrumbRule:
    """Which pieces go because few points were measured on them, see remove_unsupported.

    Crumbs are bits of wall seen through a door, and noise in mid-air.  Most have less than half as many points per
    surface as the whole (a real hall: nearly all 0 to 45 %; furniture of a known house: most over 75 %).
    below_m2, below_share: pieces of less surface than either, square metres or share of the whole surface, are looked
    at.  points_share: of the mean number of points per surface that they need.  reach_voxels: of points to vertices.

    Strays are what was seen through a window, metres away from the building: pieces up to stray_m2, at most below_share
    of the surface, that are outside the box of each large piece (at least stray_large_share of the surface) by stray_m.
    They need stray_points_share of that number.
    """

    below_m2: float = 2.0
    below_share: float = 0.01
    points_share: float = 0.5
    reach_voxels: float = 0.5
    stray_m: float = 1.0
    stray_m2: float = 10.0
    stray_large_share: float = 0.05
    stray_points_share: float = 1.0

    def points_shares(self, area: np.ndarray, low: np.ndarray, high: np.ndarray, voxel_size_m: float) -> np.ndarray:
        """(P,) which share of the mean number of points per surface pieces need to stay; 0 for those that stay anyway.

        area: (P,) of all pieces; low, high: (P, 3) their ends, all in voxels.
        """
        whole = float(area.sum())
        share = np.where(area < min(self.below_m2 / voxel_size_m**2, self.below_share * whole), self.points_share, 0.0)
        large = area >= self.stray_large_share * whole
        if large.any():
            gap = np.maximum(low[large] - high[:, None], low[:, None] - high[large]).max(axis=2)  # (P, L)
            stray = gap.min(axis=1) > self.stray_m / voxel_size_m
            stray &= area < min(self.stray_m2 / voxel_size_m**2, self.below_share * whole)
            share[stray] = self.stray_points_share
        return share


@dataclass(frozen=True)
class PieceRules:
    """Which connected pieces of a surface go.

    least_m2: those of less surface, square metres, at most `least_share` of the whole surface if that is given.
    crumbs: which of the others go because few points show them; None: none.
    """

    least_m2: float
    least_share: float | None
    crumbs: CrumbRule | None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.least_m2) and self.least_m2 >= 0):
            raise ValueError(f"smallest piece: expected square metres of at least 0, found {self.least_m2}")


def default_piece_rules() -> PieceRules:
    """Dust goes however many points it has, and crumbs."""
    crumbs = CrumbRule()
    return PieceRules(least_m2=0.1, least_share=crumbs.below_share, crumbs=crumbs)


@dataclass(frozen=True)
class Cleaned:
    """A mesh after cleaning, and what was removed: pieces, faces, and their area (squared units of the mesh)."""

    mesh: Mesh
    removed_components: int
    removed_faces: int
    removed_area: float


def remove_pieces(mesh: Mesh, points: np.ndarray, rules: PieceRules, voxel_size_m: float) -> tuple[Mesh, int]:
    """The mesh without the pieces that the rules name, and how many went.  Mesh and points (N, 3) in voxels."""
    least, share = rules.least_m2 / voxel_size_m**2, rules.least_share
    if share is not None:
        least = min(least, share * float(face_areas(mesh).sum()))
    cleaned = remove_small_components(mesh, min_area=least)
    removed, rule = cleaned.removed_components, rules.crumbs
    if rule is not None and len(cleaned.mesh.faces):
        cleaned = remove_unsupported(cleaned.mesh, points, rule, voxel_size_m)
        removed += cleaned.removed_components
    return cleaned.mesh, removed


def remove_small_components(
    mesh: Mesh, *, min_faces: int = 0, min_area: float = 0.0, min_diameter: float = 0.0
) -> Cleaned:
    """Remove the connected pieces that fall below any of the limits.

    min_area, min_diameter: in (squared) units of the mesh; the diameter is the diagonal of the piece's box.
    """
    if len(mesh.faces) == 0:
        return Cleaned(mesh, 0, 0, 0.0)
    labels = vertex_components(mesh.faces, len(mesh.vertices))
    faces, area, low, high = measure_components(mesh, labels)
    small = (faces < min_faces) | (area < min_area) | (np.linalg.norm(high - low, axis=1) < min_diameter)
    small &= faces > 0
    keep = ~small[labels[mesh.faces[:, 0]]]
    cleaned = Cleaned(keep_faces(mesh, keep), int(small.sum()), int(faces[small].sum()), float(area[small].sum()))
    logger.info(
        "removed %d of %d pieces: %d faces, area %.3f",
        cleaned.removed_components,
        int((faces > 0).sum()),
        cleaned.removed_faces,
        cleaned.removed_area,
    )
    return cleaned


def remove_unsupported(mesh: Mesh, points: np.ndarray, rule: CrumbRule, voxel_size_m: float) -> Cleaned:
    """Remove the small connected pieces that few points were measured on, as the rule says.

    What stands alone may be a chair or a lamp, which many points show, or noise in mid-air.  Mesh and points (N, 3) in
    voxels; points within the rule's reach of a vertex count for its piece.
    """
    if len(mesh.faces) == 0 or len(points) == 0:
        return Cleaned(mesh, 0, 0, 0.0)
    labels = vertex_components(mesh.faces, len(mesh.vertices))
    faces, area, low, high = measure_components(mesh, labels)
    share = rule.points_shares(area, low, high, voxel_size_m)
    small = (share > 0) & (faces > 0)
    rows = np.flatnonzero(small[labels])
    if len(rows) == 0:
        return Cleaned(mesh, 0, 0, 0.0)
    places = supported_places(points, mesh.vertices[rows], rule.reach_voxels)
    supported = np.bincount(labels[rows[places]], minlength=len(area))
    poor = small & (supported < points_wanted(area, len(points), share))
    keep = ~poor[labels[mesh.faces[:, 0]]]
    cleaned = Cleaned(keep_faces(mesh, keep), int(poor.sum()), int(faces[poor].sum()), float(area[poor].sum()))
    logger.info(
        "removed %d small pieces with few points, kept %d", cleaned.removed_components, int((small & ~poor).sum())
    )
    return cleaned


def supported_places(points: np.ndarray, places: np.ndarray, reach: float) -> np.ndarray:
    """(M,) int64: for each of the points (N, 3) within `reach` of one of the places (P, 3), the place nearest to it."""
    near = _points_around(points, places, reach)
    distance, nearest = cKDTree(places).query(points[near], distance_upper_bound=reach, workers=-1)
    return nearest[np.isfinite(distance)]


def points_wanted(area: np.ndarray, point_count: int, share: np.ndarray) -> np.ndarray:
    """(P,) how many points pieces of these areas (P,) need: shares (P,) of the mean number per surface of all of them."""
    return share * area * point_count / area.sum()


def _points_around(points: np.ndarray, places: np.ndarray, reach: float) -> np.ndarray:
    """Indices (M,) of all points within `reach` of one of the places (P, 3), and of some beyond: those in cells around."""
    edge = 2 * reach
    low = np.minimum(points.min(axis=0), places.min(axis=0)) - edge
    shape = np.floor((np.maximum(points.max(axis=0), places.max(axis=0)) + edge - low) / edge).astype(np.int64) + 1

    def keys(cells: np.ndarray) -> np.ndarray:
        return (cells[:, 0] * shape[1] + cells[:, 1]) * shape[2] + cells[:, 2]

    corners = np.array(list(itertools.product((-reach, reach), repeat=3)))
    wanted = np.concatenate([keys(np.floor((places + corner - low) / edge).astype(np.int64)) for corner in corners])
    return np.flatnonzero(np.isin(keys(np.floor((points - low) / edge).astype(np.int64)), np.unique(wanted)))


def measure_components(mesh: Mesh, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(P,) number of faces and their area, and (P, 3) lowest and highest coordinates of the vertices, of each piece.

    labels: (V,) int32, the piece of each vertex, from 0 to P - 1.
    """
    count = int(labels.max()) + 1
    faces, area = np.zeros(count, dtype=np.int64), np.zeros(count)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    measure_pieces(
        np.ascontiguousarray(mesh.vertices, dtype=np.float64),
        np.ascontiguousarray(mesh.faces, dtype=np.int64),
        labels, face_areas(mesh), faces, area, low, high,
    )  # fmt: skip
    return faces, area, low, high


class NoSurfaceError(ValueError):
    """Of a scan no surface is left."""


def no_surface(removed_pieces: int) -> NoSurfaceError:
    """The error for a scan of which no surface is left, after so many pieces went."""
    if removed_pieces:
        return NoSurfaceError(
            f"the result has no surface: every piece of it ({removed_pieces}) was removed, as smaller than "
            "--smallest-piece or because few points show them; lower --smallest-piece, or check --scale"
        )
    return NoSurfaceError(
        "the result has no surface: expected points that lie centimetres apart on surfaces of metres, and voxels of a "
        "size between the two; check --scale and --voxel-size"
    )
