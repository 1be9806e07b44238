"""Where a scanner can stand in a scene, and a walk through all its places by doors and stairs."""

from __future__ import annotations

import logging

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

_LOG = logging.getLogger(__name__)
_CELL_M = 0.2  # of the grid walked on
_BODY_RADIUS_M = 0.15  # kept free on both sides: more than half a grid diagonal, so no wall slips between two cells
_BODY_HEIGHTS_M = (0.4, 0.8, 1.2, 1.6)
_SCANNER_HEIGHTS_M = (1.05, 1.65)
_FURNITURE_COST = 10.0  # of a metre over low furniture, where the scanner is held out but nobody walks
_AREA_PER_TARGET_M2 = 5.0
_CANDIDATES = 6
_TARGET_DEPTH_M = 0.6
_CLIMB_STEP_M = 0.25
_CLIMB_REACH_M = 1.0  # from the foot of the stairs to the nearest cell of the floor
_STATION_ATTEMPTS = 40


def choose_stations(scene: Scene, rng: np.random.Generator, spacing_m: float) -> np.ndarray:
    """Free positions (S, 3), world metres: about one per spacing_m squared in each place, one on each flight of stairs.

    A place too full to stand in gets none. Raises ValueError when no place has room.
    """
    stations = []
    for place in scene.places:
        wanted = max(1, round(place.area_m2 / spacing_m**2))
        candidates = _random_positions(place, wanted * _STATION_ATTEMPTS, rng)
        free = candidates[~scene.occupied_in_building(candidates, _BODY_RADIUS_M)]
        stations += list(free[_first_apart(free, 0.6 * spacing_m, wanted)])
    for climb in scene.climbs:
        above = _resample(climb, _CLIMB_STEP_M) + (0, 0, rng.uniform(*_SCANNER_HEIGHTS_M))
        free = above[~scene.occupied_in_building(above, _BODY_RADIUS_M / 2)]
        stations += list(free[rng.integers(len(free), size=min(len(free), 1))])
    if not stations:
        raise ValueError(f"no place to stand: all {len(scene.places)} places of the scene are full; use less furniture")
    return scene.to_world(np.array(stations))


def _first_apart(points: np.ndarray, gap_m: float, wanted: int) -> list[int]:
    """Indices of the first points (Q, 3), `wanted` at most, each more than gap_m from those before it."""
    chosen: list[int] = []
    left = np.arange(len(points))
    while len(chosen) < wanted and len(left):
        chosen.append(int(left[0]))
        left = left[np.linalg.norm(points[left] - points[left[0]], axis=1) > gap_m]
    return chosen


def walk_through(scene: Scene, rng: np.random.Generator, step_m: float) -> np.ndarray:
    """Scanner positions (P, 3), world metres, on a walk from the first place through every place that can be reached.

    The walk follows the tree of shortest ways from its start, so it comes back through corridors as people do.
    Raises ValueError when no place has room.
    """
    graph = WalkGraph(scene)
    targets = graph.targets(rng)
    distances, before = dijkstra(graph.edges, directed=False, indices=targets[0], return_predecessors=True)
    missed = sum(not np.isfinite(distances[target]) for target in targets)
    if missed:
        _LOG.debug("%d of %d targets of the walk cannot be reached", missed, len(targets))
    feet = graph.positions[_tour([target for target in targets if np.isfinite(distances[target])], before)]
    heights = rng.uniform(*_SCANNER_HEIGHTS_M) + 0.1 * np.sin(np.arange(len(feet)) * 0.07 + rng.uniform(0, 2 * np.pi))
    held = feet + np.stack([np.zeros(len(feet)), np.zeros(len(feet)), np.clip(heights, *_SCANNER_HEIGHTS_M)], axis=1)
    smooth = uniform_filter1d(held, 5, axis=0, mode="nearest")
    hit = scene.occupied_in_building(smooth, _BODY_RADIUS_M / 2)
    smooth[hit] = held[hit]
    walk = _resample(smooth, step_m)
    free = ~scene.occupied_in_building(walk, 0.02)
    _LOG.debug("%d of %d positions of the walk met something and were left out", int((~free).sum()), len(walk))
    return scene.to_world(walk[free] if free.any() else held[:1])


class WalkGraph:
    """Free cells of all storeys and the stairs between them.

    positions: (V, 3) feet, building frame.  place_of: (V,) index of the place, -1 on stairs.
    edges: (V, V) sparse symmetric costs, metres, dearer over low furniture.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        positions, places, costs, rows, columns, lengths, offset = [], [], [], [], [], [], 0
        for storey in sorted({place.storey for place in scene.places}):
            feet, place_of, free, cost = _storey_grid(scene, storey)
            index: np.ndarray = np.full(free.shape, -1)
            index[free] = offset + np.arange(free.sum())
            for di, dj in ((1, 0), (0, 1), (1, 1), (1, -1)):
                a = index[: index.shape[0] - di, max(-dj, 0) : index.shape[1] - max(dj, 0)]
                b = index[di:, max(dj, 0) : index.shape[1] - max(-dj, 0)]
                both = (a >= 0) & (b >= 0)
                rows.append(a[both])
                columns.append(b[both])
                lengths.append(np.full(both.sum(), _CELL_M * np.hypot(di, dj)))
            positions.append(feet[free])
            places.append(place_of[free])
            costs.append(cost[free])
            offset += int(free.sum())
        floor = np.concatenate(positions)
        if len(floor) == 0:
            raise ValueError(
                f"no place to walk: all {len(scene.places)} places of the scene are full; use less furniture"
            )
        for climb in scene.climbs:
            steps = _resample(climb, _CLIMB_STEP_M)
            chain = offset + np.arange(len(steps))
            positions.append(steps)
            places.append(np.full(len(steps), -1))
            costs.append(np.ones(len(steps)))
            offset += len(steps)
            rows.append(chain[:-1])
            columns.append(chain[1:])
            lengths.append(np.linalg.norm(np.diff(steps, axis=0), axis=1))
            for end in (0, -1):
                gaps = np.linalg.norm((floor - steps[end]) * (1, 1, 5), axis=1)
                if gaps.min() < _CLIMB_REACH_M:
                    rows.append(chain[[end]])
                    columns.append(np.array([gaps.argmin()]))
                    lengths.append(np.array([gaps.min() + 0.1]))
        self.positions = np.concatenate(positions)
        self.place_of = np.concatenate(places)
        row, column = np.concatenate(rows), np.concatenate(columns)
        cost_of = np.concatenate(costs)
        weights = np.concatenate(lengths) * (cost_of[row] + cost_of[column]) / 2
        self.cost_of = cost_of
        self.edges = coo_matrix((weights, (row, column)), shape=(offset, offset)).tocsr()

    def targets(self, rng: np.random.Generator) -> list[int]:
        """Cells to visit: in each place one, and one more per `_AREA_PER_TARGET_M2`, away from furniture if possible."""
        targets = []
        for number, place in enumerate(self.scene.places):
            cells = np.flatnonzero(self.place_of == number)
            open_cells = cells[self.cost_of[cells] == 1.0]
            cells = open_cells if len(open_cells) else cells
            if len(cells):  # not at its edge, where the smoothed walk would turn before it is inside
                inset = _depth(place, self.positions[cells])
                cells = cells[inset >= min(_TARGET_DEPTH_M, 0.8 * inset.max())]
            count = min(len(cells), 1 + int(place.area_m2 / _AREA_PER_TARGET_M2))
            targets += _spread(cells, self.positions, count, rng)
        # The walk starts in the largest part that hangs together.
        labels = connected_components(self.edges, directed=False)[1]
        size = np.bincount(labels)[labels[targets]]
        start = int(np.argmax(size))
        return targets[start:] + targets[:start]


def _spread(cells: np.ndarray, positions: np.ndarray, count: int, rng: np.random.Generator) -> list[int]:
    """`count` of the cells, each the farthest from those before it among a few drawn at random."""
    chosen: list[int] = []
    for _ in range(count):
        drawn = rng.choice(cells, _CANDIDATES)
        gaps = np.linalg.norm(positions[drawn][:, None] - positions[chosen][None], axis=2)  # (candidates, chosen)
        chosen.append(int(drawn[gaps.min(axis=1, initial=np.inf).argmax()]))
    return chosen


def _depth(place: Place, points: np.ndarray) -> np.ndarray:
    """How far points (Q, 3) are inside the rectangle of the place that holds them deepest, metres: (Q,)."""
    planar = points[:, None, :2]
    inset = np.minimum(planar - place.rectangles[:, :2], place.rectangles[:, 2:] - planar)
    return inset.min(axis=2).max(axis=1)


def _storey_grid(scene: Scene, storey: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Feet (I, J, 3), place (I, J) or -1, free (I, J) bool and cost (I, J) of the cells of one storey."""
    numbered = [(number, place) for number, place in enumerate(scene.places) if place.storey == storey]
    rectangles = np.concatenate([place.rectangles for _, place in numbered])
    low, high = rectangles[:, :2].min(axis=0), rectangles[:, 2:].max(axis=0)
    shape = np.ceil((high - low) / _CELL_M).astype(int) + 1
    planar = np.stack(np.meshgrid(*(low[k] + _CELL_M * np.arange(shape[k]) for k in range(2)), indexing="ij"), axis=-1)
    feet = np.concatenate([planar, np.zeros((*shape, 1))], axis=-1)
    place_of = np.full(tuple(shape), -1)
    flat = feet.reshape(-1, 3)
    for number, place in numbered:
        inside = place.contains(flat).reshape(tuple(shape))
        place_of[inside] = number
        feet[inside, 2] = place.floor_z
    free = place_of >= 0
    standing = np.flatnonzero(free)
    for height in _BODY_HEIGHTS_M:
        standing = standing[~scene.solids.contains(flat[standing] + (0, 0, height), _BODY_RADIUS_M)]
    reach = _BODY_RADIUS_M * np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    for height in (1.05, 1.35, 1.65):
        around = (flat[standing][:, None] + reach + (0, 0, height)).reshape(-1, 3)
        standing = standing[~scene.occupied_in_building(around).reshape(-1, len(reach)).any(axis=1)]
    cost = np.ones(len(flat))
    floor_z = numbered[0][1].floor_z
    for piece in scene.furniture:
        piece_low, piece_high = piece.box
        if piece_high[2] > floor_z + 0.1 and piece_low[2] < floor_z + 1.8:
            under = ((flat[standing, :2] > piece_low[:2]) & (flat[standing, :2] < piece_high[:2])).all(axis=1)
            cost[standing[under]] = _FURNITURE_COST
    free = np.zeros(len(flat), dtype=bool)
    free[standing] = True
    return feet, place_of, free.reshape(tuple(shape)), cost.reshape(tuple(shape))


def _random_positions(place: Place, count: int, rng: np.random.Generator) -> np.ndarray:
    """Positions (count, 3), uniform over the place, at the height of a tripod or a hand."""
    areas = np.prod(place.rectangles[:, 2:] - place.rectangles[:, :2], axis=1)
    rectangle = place.rectangles[rng.choice(len(areas), count, p=areas / areas.sum())]
    planar = rectangle[:, :2] + rng.random((count, 2)) * (rectangle[:, 2:] - rectangle[:, :2])
    return np.column_stack([planar, place.floor_z + rng.uniform(1.2, 1.7, count)])


def _tour(targets: list[int], before: np.ndarray) -> np.ndarray:
    """The nodes, in order, of a walk from targets[0] to all targets along the tree of predecessors `before`."""
    root = targets[0]
    needed = {root}
    children: dict[int, list[int]] = {}
    for target in targets:
        node = target
        while node not in needed:
            needed.add(node)
            children.setdefault(int(before[node]), []).append(node)
            node = int(before[node])
    walk, stack = [], [(root, iter(children.get(root, [])))]
    walk.append(root)
    last_new = 1
    while stack:
        node, rest = stack[-1]
        child = next(rest, None)
        if child is None:
            stack.pop()
            if stack:
                walk.append(stack[-1][0])
        else:
            walk.append(child)
            last_new = len(walk)
            stack.append((child, iter(children.get(child, []))))
    return np.array(walk[:last_new])


def _resample(polyline: np.ndarray, step_m: float) -> np.ndarray:
    """Points about step_m apart along a polyline (K, 3), its ends included."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(polyline, axis=0), axis=1))])
    count = max(2, int(np.ceil(along[-1] / step_m)) + 1)
    where = np.linspace(0.0, along[-1], count)
    return np.stack([np.interp(where, along, polyline[:, axis]) for axis in range(3)], axis=1)
