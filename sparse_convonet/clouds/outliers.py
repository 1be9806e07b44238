"""Find points strewn through space: what rain, dust, sun and bad matches leave along the rays of a scan.

A network takes a few of them for nothing, and builds surface around many.  Rusu and Cousins (3D is here: Point Cloud
Library, ICRA 2011) leave out what has few neighbours; that also takes the far and thin parts of a scan.  Here a point
must besides lie on no plane with its like, at least half of what is thin must lie so, and it must fill the air before
the surfaces of the whole scan (even_spread.py), which leaves, twigs and far noisy walls do not.  Specks go however few
they are: points on no plane beside surfaces that are many times as dense, in a scan whose surfaces mostly are so.  Of
dense surfaces the network is shown fewer points (encode/voxelise.py), of specks all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.clouds.coincidence import PlaceSample, are_at, first_of_each_place, place_keys
from sparse_convonet.clouds.even_spread import spread_evenly
from sparse_convonet.coordinates import AXIS_LIMIT, key_shift, pack_cells, unpack_cells
from sparse_convonet.structures import PointCloud

Chunks = Callable[[], Iterable[np.ndarray]]  # (n, 3) points, all of a scan one part after the other; again in each call

_FINEST_M = 0.05  # edge of the cells in which points are counted; doubled while half of them have too few
_DOUBLINGS = 2
_USUAL = 12  # points within a cell and those around it, at least, of half the points
_MOST_CELLS = 1 << 23  # 16 bytes each; with more, edges are doubled
_PENDING_CELLS = 1 << 20
_FEW = 24  # points there: with more, it is a surface however dense the others are
_NEIGHBOURS = 15
_OFF_PLANE = 0.4  # cells, from the plane of a neighbour that lies on one, beside twice that one's thickness
_PART = 1 << 17  # neighbours are sought of so many at once
_PART_POINTS = 1 << 19
_LEAST_SHARE, _LEAST_OF_THIN = 0.02, 0.5  # of all points, and of the thin ones, that make a scan a strewn one
_SPECK_USUAL = 50  # points within a cell and those around it, of half the cells, at least; of fewer all are shown
_BLOCK_BITS = 3  # blocks of eight cells, in which and around which a speck has its dense surface


@dataclass(frozen=True)
class _Rule:
    """share: of the usual count, up to which a point is thin.  flat: thickness of a plane, as a share of its extent, and
    thickest, in cells: few points far from each other lie in a thick one by chance.
    """

    share: float
    flat: float
    thickest: float = np.inf


_TO_TELL, _TO_TAKE = _Rule(1 / 4, 0.2), _Rule(1 / 3, 0.15)
_SPECK = _Rule(0.04, 0.15, 1.0)  # of very dense points the network is shown a few per cent


@dataclass(frozen=True)
class _Cells:
    """The cells that hold points.  low: (3,) corner of cell (0, 0, 0).  per_unit: cells in a unit of the scan.

    keys: (C,) int64, ascending, of coordinates.pack_cells.  counts: (C,) points in each.  around: (C,) and in the 26
    cells around it.
    """

    low: np.ndarray
    per_unit: float
    keys: np.ndarray
    counts: np.ndarray
    around: np.ndarray

    def places(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) in the frame of the scan -> (n, 3) in cells."""
        return np.asarray((points - self.low) * self.per_unit)

    def usual(self) -> float:
        """The count that half of the points have around them."""
        order = np.argsort(self.around, kind="stable")
        passed = np.cumsum(self.counts[order])
        return float(self.around[order][np.searchsorted(passed, passed[-1] / 2)])

    def usual_near(self) -> np.ndarray:
        """(C,) the highest usual count of the block of eight cells that a cell is in and the 26 blocks around it."""
        blocks = pack_cells(unpack_cells(self.keys) >> _BLOCK_BITS)
        order = np.lexsort([self.around, blocks])
        passed, ordered = np.cumsum(self.counts[order]), blocks[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        after = np.append(first[1:], len(ordered))
        before = passed[first] - self.counts[order][first]
        middle = np.searchsorted(passed, (before + passed[after - 1]) / 2)
        names, usual = ordered[first], self.around[order][middle]
        most = usual.copy()
        for shift in itertools.product((-1, 0, 1), repeat=3):
            sought = names + key_shift(*shift)
            place = np.minimum(np.searchsorted(names, sought), len(names) - 1)
            np.maximum(most, np.where(names[place] == sought, usual[place], 0), out=most)
        return most[np.searchsorted(names, blocks)]

    def rows(self, places: np.ndarray) -> np.ndarray:
        """(n, 3) places of points of the scan -> (n,) which cells they are in."""
        return np.searchsorted(self.keys, pack_cells(np.floor(places).astype(np.int64)))


def find_outliers(chunks: Chunks, low: np.ndarray, high: np.ndarray, metres_per_unit: float) -> np.ndarray:
    """(K,) uint64, ascending: coincidence.place_keys of the points that are strewn; none in most scans.

    low, high: (3,) lowest and highest coordinates of the points, in the units of the scan.

    A point is thin where the cells around it hold at most a third of the usual count, and strewn where its nearest thin
    neighbours lie on no plane, nor it on theirs.  None is, unless the strewn are 2 % of all points and half of
    the thin ones, and fill the air before surfaces evenly.  Of the others a point is a speck where it has at most 24 points
    and 4 % of the usual count of the surfaces within a block of eight cells, and lies on no plane with its like.  Cells are
    of 5, 10 or 20 cm, the finest of which half the points have 12 around them.  Memory: 16 bytes for each cell, some 100
    for each thin point, up to 0.2 GB for the air.
    """
    sample = PlaceSample()
    cells = _count(chunks, low, high, metres_per_unit, sample)
    if cells is None:
        return np.zeros(0, dtype=np.uint64)
    times = sample.points_per_place()
    return np.union1d(_strewn_through(chunks, cells, times), _specks(chunks, cells, times))


def _strewn_through(chunks: Chunks, cells: _Cells, times: float) -> np.ndarray:
    """Keys of the places of what fills the air of the scan.  times: how often each place is repeated."""
    usual = cells.usual()
    few = _few(_TO_TAKE, usual, times)
    count, thin_count = cells.counts.sum(), cells.counts[cells.around <= few].sum()
    if usual < _USUAL * times or thin_count < max(_NEIGHBOURS + 1, _LEAST_SHARE * count):
        return np.zeros(0, dtype=np.uint64)
    thin, around = _points_where(cells.around <= few, chunks, cells)
    surely = cells.places(thin[around <= _few(_TO_TELL, usual, times)])
    least = max(1, _LEAST_SHARE * count / times, _LEAST_OF_THIN * len(surely))
    if _strewn(surely, _TO_TELL).sum() < least:
        return np.zeros(0, dtype=np.uint64)
    places = cells.places(thin)
    strewn = _strewn(places, _TO_TAKE)
    others = np.concatenate([unpack_cells(cells.keys[cells.around > few]) + 0.5, places[~strewn]])
    strewn[strewn] = spread_evenly(places[strewn], others)
    return np.unique(place_keys(thin[strewn]))


def _specks(chunks: Chunks, cells: _Cells, times: float) -> np.ndarray:
    """Keys of the places of specks."""
    usual = float(np.median(cells.around))
    if usual < _SPECK_USUAL * times:
        return np.zeros(0, dtype=np.uint64)
    dense = np.minimum(cells.usual_near(), usual)  # of a room no dense thing in it makes specks
    thin, _ = _points_where(cells.around <= _few(_SPECK, dense, times), chunks, cells)
    return np.unique(place_keys(thin[_strewn(cells.places(thin), _SPECK)]))


def _points_where(is_thin: np.ndarray, chunks: Chunks, cells: _Cells) -> tuple[np.ndarray, np.ndarray]:
    """(C,) bool of cells -> (n, 3) points in them, one of each place, and (n,) the counts around them."""
    found, counts = [np.zeros((0, 3))], [np.zeros(0, dtype=np.int64)]
    if is_thin.any():
        for points in chunks():
            of_each = cells.rows(cells.places(points))
            is_here = is_thin[of_each]
            found.append(points[is_here])
            counts.append(cells.around[of_each[is_here]])
    thin, around = np.concatenate(found), np.concatenate(counts)
    first, _ = first_of_each_place(thin)
    return thin[first], around[first]


def without_outliers(cloud: PointCloud, metres_per_unit: float = 1.0) -> tuple[PointCloud, PointCloud]:
    """(the cloud without what find_outliers finds, the outliers); finite points, in any unit."""
    if len(cloud) == 0:
        return cloud, cloud
    points = cloud.points
    starts = range(0, len(points), _PART_POINTS)
    keys = find_outliers(
        lambda: (points[start : start + _PART_POINTS] for start in starts),
        points.min(axis=0),
        points.max(axis=0),
        metres_per_unit,
    )
    is_outlier = are_at(points, keys)
    return (cloud.select(~is_outlier) if len(keys) else cloud), cloud.select(is_outlier)


def _few(rule: _Rule, usual: float | np.ndarray, times: float) -> np.ndarray:
    return np.minimum(_FEW * times, rule.share * usual)


def _count(
    chunks: Chunks, low: np.ndarray, high: np.ndarray, metres_per_unit: float, sample: PlaceSample
) -> _Cells | None:
    """The finest cells that have the usual count, or the coarsest; None for scans of too many cells along an axis."""
    low = np.asarray(low, dtype=np.float64)
    edge_m, doubled = _FINEST_M, 0
    if float(((high - low) * (metres_per_unit / edge_m)).max()) >= AXIS_LIMIT - 2:
        return None
    keys, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    pending: list[tuple[np.ndarray, np.ndarray]] = []

    def merge() -> None:
        nonlocal keys, counts, doubled
        parts = [(keys, counts), *pending]
        keys, counts = _summed(np.concatenate([each for each, _ in parts]), np.concatenate([each for _, each in parts]))
        pending.clear()
        while len(keys) > _MOST_CELLS and doubled < _DOUBLINGS:
            doubled, (keys, counts) = doubled + 1, _halved(keys, counts)

    for points in chunks():
        sample.add(points)
        found = np.floor((points - low) * (metres_per_unit / edge_m)).astype(np.int64) >> doubled
        pending.append(_summed(pack_cells(found), np.ones(len(found), dtype=np.int64)))
        if sum(len(each) for each, _ in pending) > max(_PENDING_CELLS, len(keys)):
            merge()
    merge()
    while True:
        per_unit = metres_per_unit / (edge_m * 2**doubled)
        cells = _Cells(low, per_unit, keys, counts, _counts_around(keys, counts))
        if doubled == _DOUBLINGS or len(keys) == 0 or cells.usual() >= _USUAL * sample.points_per_place():
            return cells if len(keys) else None
        doubled, (keys, counts) = doubled + 1, _halved(keys, counts)


def _summed(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each key once, ascending, with the sum of its counts."""
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(keys)), dtype=bool), keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def _halved(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of cells of twice the edge."""
    return _summed(pack_cells(unpack_cells(keys) >> 1), counts)


def _counts_around(keys: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(C,) points in each cell and the 26 around it."""
    passed = np.concatenate([[0], np.cumsum(counts)])
    around = np.zeros(len(keys), dtype=np.int64)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):  # cells along z follow each other
            first = np.searchsorted(keys, keys + key_shift(dx, dy, -1))
            after = np.searchsorted(keys, keys + key_shift(dx, dy, 1), side="right")
            around += passed[after] - passed[first]
    return around


def _strewn(places: np.ndarray, rule: _Rule) -> np.ndarray:
    """(n, 3) thin points, in cells -> (n,) bool: whether one lies on no plane with its neighbours, nor on one of theirs."""
    if len(places) <= _NEIGHBOURS:
        return np.zeros(len(places), dtype=bool)
    tree = cKDTree(places)
    middles, normals = np.empty_like(places), np.empty_like(places)
    thickness, is_flat = np.empty(len(places)), np.empty(len(places), dtype=bool)
    neighbours = np.empty((len(places), _NEIGHBOURS), dtype=np.int32)
    for start in range(0, len(places), _PART):
        part = slice(start, min(start + _PART, len(places)))
        _, near = tree.query(places[part], _NEIGHBOURS + 1)
        around = places[near]
        middles[part] = around.mean(axis=1)
        around -= middles[part, None]
        spread, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around) / around.shape[1])
        spread = np.sqrt(np.maximum(spread, 0.0))
        thickness[part], normals[part] = spread[:, 0], axes[:, :, 0]
        is_flat[part] = spread[:, 0] <= np.minimum(rule.flat * spread[:, 2], rule.thickest)
        neighbours[part] = near[:, 1:]
    on_plane = is_flat.copy()
    for column in neighbours.T:
        off = np.abs(np.einsum("ni,ni->n", normals[column], places - middles[column]))
        on_plane |= is_flat[column] & (off <= 2 * thickness[column] + _OFF_PLANE)
    return ~on_plane
