"""Where a scanner can stand, and where it can be carried, in the mesh of any building, z up, watertight or not."""

from __future__ import annotations

import logging

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from sparse_convonet.data.scanner.ray_patterns import panorama_directions
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.mesh.raycast import TriangleScene

_LOG = logging.getLogger(__name__)

EYE_HEIGHT_M = 1.5
_CLEARANCE_M = 0.3
_PROBES_PER_SPACING = 3  # the floor is probed on a finer grid than stations stand
_MAX_COLUMNS = 40_000
_HIT_STEP_M = 0.01
_BODY_FLOOR_M = 0.02  # a column is probed for headroom from this height above the floor
# A surface is furniture, not floor, where the floor around it lies lower by such a height ...
_FURNITURE_STEP_M = (0.25, 1.2)
_FLOOR_SHARE = 0.25  # ... in at least this share of the places within _FLOOR_RADIUS_M
_FLOOR_RADIUS_M = 1.0
_LEVEL_M = 0.05  # hits that differ less in height are one level surface
_SLAB_M2 = 9.0  # a level surface so large is no furniture, so what is right below it may be the underside of its slab
_LEVEL_RAYS = 72  # rays about the horizon that tell inside from outside
_OUTSIDE_SHARE = 0.4  # outside, more of them escape
_SPHERE_RAYS = 128
_LEAST_VIEW_M = 0.6  # a place whose rays end nearer (median) is a hollow, not a room
_LEAST_WAY_M = 0.2  # a way between two places keeps this height above the floor free
_STEP_M = 0.6  # neighbouring places differ less in height


def find_stations(
    vertices: np.ndarray, faces: np.ndarray, spacing_m: float, rng: np.random.Generator, threads: int = 1
) -> np.ndarray:
    """(S, 3) float64 free positions at eye height on every storey, at least spacing_m apart.

    vertices: (V, 3) metres, z up.  faces: (F, 3).  Places are found by rays: above a floor, with
    headroom, 30 cm from everything, and inside, that is where most level rays meet something.
    Raises ValueError where there is no such place.
    """
    places = _free_places(TriangleScene(vertices, faces, threads), spacing_m, rng)
    return places[_spread(places, spacing_m, rng)]


def find_walks(
    vertices: np.ndarray, faces: np.ndarray, spacing_m: float, rng: np.random.Generator, threads: int = 1
) -> list[np.ndarray]:
    """Polylines (P, 3) float64 at eye height that visit the stations of find_stations, the longest first.

    One for each set of places that can be reached from each other on free ways, through open doors;
    rooms behind closed doors and storeys without a walkable staircase make walks of their own.
    """
    scene = TriangleScene(vertices, faces, threads)
    places = _free_places(scene, spacing_m, rng)
    goals = _spread(places, spacing_m, rng)
    graph = _ways(scene, places, spacing_m)
    _, component = connected_components(graph, directed=False)
    walks = [places[_tour(graph, goals[component[goals] == number])] for number in np.unique(component[goals])]
    return sorted(walks, key=lambda walk: -len(walk))


def _free_places(scene: TriangleScene, spacing_m: float, rng: np.random.Generator) -> np.ndarray:
    """(K, 3) places at eye height on a fine grid, all free and inside."""
    if not spacing_m > 0:
        raise ValueError(f"station spacing: expected more than zero metres, found {spacing_m}")
    step_m = _step_m(scene.bounds, spacing_m)
    columns = _columns(scene.bounds, step_m, rng)
    top = np.column_stack([columns, np.full(len(columns), scene.bounds[1, 2] + 1.0)])
    down = np.tile([0.0, 0.0, -1.0], (len(top), 1))
    ray, distance = scene.all_hits(top, down)
    hits = np.column_stack([columns[ray], top[ray, 2] - distance])  # (H, 3) floors, ceilings, tables ...
    if len(hits) == 0:
        raise ValueError("stations: expected a floor, found no surface below any place; is z the up axis?")
    hits = np.unique(np.round(hits / _HIT_STEP_M).astype(np.int64), axis=0) * _HIT_STEP_M
    above = hits + [0.0, 0.0, _BODY_FLOOR_M]
    headroom, _ = scene.first_hits(above, np.tile([0.0, 0.0, 1.0], (len(above), 1)))
    is_floor = headroom > EYE_HEIGHT_M + _CLEARANCE_M
    turned = scene.nearest(hits)[1][:, 2] < 0
    floors = hits[is_floor][~_is_furniture(hits, is_floor, turned, step_m)]
    places = floors + [0.0, 0.0, EYE_HEIGHT_M]
    places = places[scene.nearest(places)[0] > _CLEARANCE_M]
    places = places[_is_inside(scene, places)]
    if len(places) == 0:
        raise ValueError(
            "stations: expected free places 1.5 m above a floor and inside a building, found none; "
            "the mesh must be in metres with z up"
        )
    _LOG.info("%d free places of %d surfaces below %d columns", len(places), len(hits), len(columns))
    return places


def _step_m(bounds: np.ndarray, spacing_m: float) -> float:
    """Of the grid on which the floor is probed; it widens for huge meshes."""
    extent = (bounds[1] - bounds[0])[:2]
    return max(spacing_m / _PROBES_PER_SPACING, float(np.sqrt(extent[0] * extent[1] / _MAX_COLUMNS)))


def _columns(bounds: np.ndarray, step_m: float, rng: np.random.Generator) -> np.ndarray:
    """(C, 2) horizontal positions on a grid with a random phase."""
    axes = [np.arange(bounds[0, k] + step_m * rng.uniform(0.2, 0.8), bounds[1, k], step_m) for k in range(2)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def _is_furniture(hits: np.ndarray, is_floor: np.ndarray, turned: np.ndarray, step_m: float) -> np.ndarray:
    """(K,) bool, of (H, 3) hits that are floors: the surface rises above what lies around it by the height of furniture.

    turned: (H,) bool, the face looks down.  What lies right below a large level surface and looks the other way is the
    underside of its slab, and no floor.
    """
    floors = hits[is_floor]
    _, column = np.unique(hits[:, :2], axis=0, return_inverse=True)
    column = column.reshape(-1)
    large = _level_areas_m2(floors, step_m) >= _SLAB_M2
    furniture = np.zeros(len(floors), dtype=bool)
    floor_turned = turned[is_floor]
    for index, near in enumerate(cKDTree(hits[:, :2]).query_ball_point(floors[:, :2], _FLOOR_RADIUS_M)):
        below, columns = floors[index, 2] - hits[near, 2], column[near]
        lower = (below > _FURNITURE_STEP_M[0]) & (below < _FURNITURE_STEP_M[1])
        if large[index] and lower.any():
            covered = np.isin(columns, columns[np.abs(below) < _LEVEL_M])
            lower &= ~(covered & (turned[near] != floor_turned[index]))
        furniture[index] = len(np.unique(columns[lower])) >= _FLOOR_SHARE * len(np.unique(columns))
    return furniture


def _level_areas_m2(floors: np.ndarray, step_m: float) -> np.ndarray:
    """(K,) square metres of the level surface that each of (K, 3) places on a grid is part of, walls across it or not."""
    scaled = floors / (_FLOOR_RADIUS_M, _FLOOR_RADIUS_M, _LEVEL_M)
    pairs = cKDTree(scaled).query_pairs(max(1.0, 1.5 * step_m / _FLOOR_RADIUS_M), p=np.inf, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(floors), len(floors)))
    _, of_each = connected_components(links, directed=False)
    return np.asarray(np.bincount(of_each)[of_each] * step_m**2)


def _is_inside(scene: TriangleScene, places: np.ndarray) -> np.ndarray:
    """(K,) bool: few level rays escape, and the view is not that of a hollow."""
    azimuth = np.arange(_LEVEL_RAYS) * 2 * np.pi / _LEVEL_RAYS
    # None of them points down: outside, the ground would stop it.
    rise = np.tan(np.deg2rad([0.0, 5.0, 10.0]))[np.arange(_LEVEL_RAYS) % 3]
    level = np.column_stack([np.cos(azimuth), np.sin(azimuth), rise])
    level /= np.linalg.norm(level, axis=1, keepdims=True)
    escaped = ~np.isfinite(_views(scene, places, level))
    sphere = panorama_directions(_SPHERE_RAYS, ScannerSettings.ideal(), np.random.default_rng(0))
    view = np.median(_views(scene, places, sphere), axis=1)
    return (escaped.mean(axis=1) < _OUTSIDE_SHARE) & (view > _LEAST_VIEW_M)


def _views(scene: TriangleScene, places: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(K, D) distances from each of (K, 3) places along each of (D, 3) directions."""
    origins = np.repeat(places, len(directions), axis=0)
    return scene.first_hits(origins, np.tile(directions, (len(places), 1)))[0].reshape(len(places), len(directions))


def _spread(places: np.ndarray, spacing_m: float, rng: np.random.Generator) -> np.ndarray:
    """(S,) indices of places no two of which are nearer than spacing_m; no other could be added."""
    tree = cKDTree(places)
    taken: list[int] = []
    blocked = np.zeros(len(places), dtype=bool)
    for index in rng.permutation(len(places)):
        if not blocked[index]:
            taken.append(int(index))
            blocked[tree.query_ball_point(places[index], spacing_m)] = True
    return np.array(taken)


def _ways(scene: TriangleScene, places: np.ndarray, spacing_m: float) -> coo_matrix:
    """(K, K) lengths of the free ways between neighbouring places."""
    # Neighbours on the grid, diagonals included, with room for a step up or down.
    reach = float(np.hypot(1.5 * spacing_m / _PROBES_PER_SPACING, _STEP_M))
    pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
    if len(pairs) == 0:
        return coo_matrix((len(places), len(places)))
    first, second = places[pairs[:, 0]], places[pairs[:, 1]]
    lengths = np.linalg.norm(second - first, axis=1)
    free = np.abs(second[:, 2] - first[:, 2]) < _STEP_M
    for height in (0.0, -EYE_HEIGHT_M / 2, -EYE_HEIGHT_M + _LEAST_WAY_M):
        blocked_at, _ = scene.first_hits(first + [0.0, 0.0, height], (second - first) / lengths[:, None])
        free &= blocked_at > lengths
    pairs, lengths = pairs[free], lengths[free]
    return coo_matrix((lengths, (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))


def _tour(graph: coo_matrix, goals: np.ndarray) -> np.ndarray:
    """Indices of the places on a walk that visits every goal, each time going to the nearest one left."""
    distances, before = dijkstra(graph.tocsr(), directed=False, indices=goals, return_predecessors=True)
    walk, here = [int(goals[0])], 0
    left = set(range(1, len(goals)))
    while left:
        following = min(left, key=lambda goal: distances[here, goals[goal]])
        left.remove(following)
        way, step = [], int(goals[following])
        while step != goals[here]:
            way.append(step)
            step = int(before[here, step])
        walk += way[::-1]
        here = following
    return np.array(walk)
