"""Stage mesh: a picture on the surface of a mesh, its texture, baked from what is known of the colour of places.

Where its parts lie in the picture is up to xatlas (Young, after thekla_atlas by Castano).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sparse_convonet.mesh.texture_numba import fill_beside, owners_of_rows
from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.structures import Mesh

_PADDING = 2  # texels between charts, which hold the colours of their rims: viewers mix what lies side by side
_ROWS_AT_ONCE = 256
_BAND_M = 1.5  # less than a storey: a winding ramp must not lie on itself
_SMOOTHINGS = 4
_GOLDEN = (5**0.5 - 1) / 2
_CRUMB_M2, _MERGINGS = 0.02, 3  # charts that small join a neighbour: each takes room for the texels around it


@dataclass(frozen=True)
class Atlas:
    """Where the faces of a mesh lie in a picture.

    rows: (V,) int64, which vertex of the mesh each vertex of the atlas is.  faces: (F, 3) int64 of these, in the order of
    the mesh.  places: (V, 2) float64, texels from the upper left corner of the picture, x and y.  charts: how many parts
    the surface was cut into.
    """

    rows: np.ndarray
    faces: np.ndarray
    places: np.ndarray
    width: int
    height: int
    charts: int


def unwrap(mesh: Mesh, pixels: int) -> Atlas:
    """Cut a mesh (metres) into flat charts and pack them into a picture of at most so many texels along each side.

    A chart is what is connected, looks along one axis more than along the others, and lies within a band of 1.5 m along
    it, projected along it.  xatlas packs the charts; its own charts take many minutes for a building.  Raises ValueError
    without that package.
    """
    xatlas = require_package("xatlas", "texture", "a texture")
    axes, chart = _charts(mesh)
    keys, corners = np.unique(chart[:, None] * len(mesh.vertices) + mesh.faces, return_inverse=True)
    faces, rows = corners.reshape(-1, 3), keys % len(mesh.vertices)
    local = mesh.vertices[rows] - mesh.vertices.min(axis=0)
    axis_of_vertex = np.empty(len(rows), dtype=np.int64)
    axis_of_vertex[faces] = axes[:, None]
    every = np.arange(len(rows))
    flat = np.column_stack([local[every, (axis_of_vertex + step) % 3] for step in (1, 2)])
    # xatlas joins charts whose borders lie in one place and on one spot of the picture: each gets a spot of its own.
    flat += (_GOLDEN * (keys // len(mesh.vertices)) % 1)[:, None]
    atlas, options, pack = xatlas.Atlas(), xatlas.ChartOptions(), xatlas.PackOptions()
    atlas.add_mesh(local.astype(np.float32), faces.astype(np.uint32), uvs=flat.astype(np.float32))
    options.use_input_mesh_uvs = True
    pack.resolution, pack.padding, pack.bilinear, pack.rotate_charts = pixels, _PADDING, True, False
    atlas.generate(options, pack)
    packed_rows, packed_faces, places = atlas[0]
    longest = max(atlas.width, atlas.height)
    width, height = (max(1, pixels * each // longest) for each in (atlas.width, atlas.height))
    return Atlas(
        rows[packed_rows],
        packed_faces.astype(np.int64),
        places.astype(np.float64) * (width, height),
        width,
        height,
        atlas.chart_count,
    )


def _charts(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """(F,) int64 the axis that each face looks along, and (F,) int64 which chart it is in."""
    faces, vertices = mesh.faces, mesh.vertices
    first, second = _neighbours(faces, len(vertices))
    shape = (len(faces), len(faces))
    beside = coo_matrix((np.ones(2 * len(first)), (np.r_[first, second], np.r_[second, first])), shape=shape).tocsr()
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    along = np.cross(b - a, c - a)  # the normals, as long as their faces are large
    for _ in range(_SMOOTHINGS):  # or the roughness of a sloping face would tear it into many charts
        along = along + beside @ along
    every = np.arange(len(faces))
    axes = np.abs(along).argmax(axis=1)
    band = np.floor(((a + b + c) / 3 - vertices.min(axis=0))[every, axes] / _BAND_M).astype(np.int64)
    kind = (band * 2 + (along[every, axes] > 0)) * 3 + axes
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    for _ in range(_MERGINGS):
        kind = _without_crumbs(kind, _connected(kind, first, second), areas, first, second)
    return kind % 3, _connected(kind, first, second)


def _connected(kind: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(F,) int64: numbers of the parts that are connected by pairs (E,) and (E,) of faces of one kind."""
    alike = kind[first] == kind[second]
    pairs = coo_matrix((np.ones(int(alike.sum())), (first[alike], second[alike])), shape=(len(kind), len(kind)))
    return np.asarray(connected_components(pairs, directed=False)[1], dtype=np.int64)


def _without_crumbs(
    kind: np.ndarray, chart: np.ndarray, areas: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """The kinds of faces (F,), those of small charts that of the neighbour with which they share most edges."""
    small = np.bincount(chart, areas) < _CRUMB_M2
    inner, outer = np.r_[first, second], np.r_[second, first]
    across = small[chart[inner]] & (chart[inner] != chart[outer])
    pairs, counts = np.unique(np.column_stack([chart[inner], kind[outer]])[across], axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], counts, pairs[:, 0]))  # the last of each chart has most edges
    last = order[np.r_[np.diff(pairs[order, 0]) > 0, True]] if len(order) else order
    changed = np.full(len(small), -1)
    changed[pairs[last, 0]] = pairs[last, 1]
    return np.where(changed[chart] >= 0, changed[chart], kind)


def _neighbours(faces: np.ndarray, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (E,) and (E,) of the faces on either side of an edge."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    keys, owners = edges[:, 0] * vertices + edges[:, 1], np.tile(np.arange(len(faces)), 3)
    order = np.argsort(keys, kind="stable")
    together = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    return owners[order][together], owners[order][together + 1]


@dataclass(frozen=True)
class Texture:
    """picture: (H, W, 3) uint8.  covered: how many of its texels lie on the surface."""

    picture: np.ndarray
    covered: int


def bake(
    atlas: Atlas,
    vertices: np.ndarray,
    colours_at: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[float], None] = lambda share: None,
) -> Texture:
    """The picture of a surface.

    vertices: (U, 3) of the mesh.  colours_at: (N, 3) places in its frame -> (N, 3) uint8.  Texels beside charts take the
    colour of those in them, all others the mean.  progress: is told the share that is done.
    """
    picture = np.zeros((atlas.height, atlas.width, 3), dtype=np.uint8)
    known = np.zeros((atlas.height, atlas.width), dtype=bool)
    corners = atlas.places[atlas.faces]  # (F, 3, 2)
    in_space = vertices[atlas.rows]
    for top in range(0, atlas.height, _ROWS_AT_ONCE):
        progress(top / atlas.height)
        owner, weights = owners_of_rows(corners, top, min(top + _ROWS_AT_ONCE, atlas.height), atlas.width)
        covered = owner >= 0
        if covered.any():
            corner_places = in_space[atlas.faces[owner[covered]]]  # (N, 3, 3)
            places = np.einsum("nk,nkd->nd", weights[covered], corner_places)
            picture[top : top + len(owner)][covered] = colours_at(places)
            known[top : top + len(owner)] = covered
    count = int(known.sum())
    if count:
        mean = np.rint(picture[known].mean(axis=0)).astype(np.uint8)
        for _ in range(_PADDING):
            picture, known = fill_beside(picture, known)
        picture[~known] = mean
    return Texture(picture, count)
