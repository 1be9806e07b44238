"""What the points of a scan say of its surface: points per square metre, place by place, and how noisy they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparse_convonet.clouds.occupied_cells import PlacedPoints, numbers_of_chance

CELL_M = 0.5  # edge of the cells by which the surface is sampled; smaller where the whole scan is
_CELLS_ALONG = 12  # at least so many cells along the longest side
_LEAST_CELL_M = 1e-4
_MOST_SEEDS = 256
_WANTED_NEIGHBOURS = 120  # within the first radius, if the cell is evenly covered
_ENOUGH_NEIGHBOURS = 48
_COUNTED_NEIGHBOURS = 32  # of them tell the density: near the edge of a surface the fewer the better
_LEAST_IN_PLANE, _MOST_IN_PLANE = 8, 2000
# On a surface a quarter of the neighbours is within half of the radius; around a point in mid-air there are none.
_LEAST_NEAR_SHARE = 0.08
_GROWTH = 1.5
_LEAST_RADIUS_CELLS, _LARGEST_RADIUS_CELLS = 1e-5, 20.0
_NOISE_PER_RADIUS = 0.2  # a plane's neighbourhood is at least five times as wide as its noise is high
_LEAST_SPREAD = 0.1  # of the variances along both axes of a plane: less is one line of a scanner, which is no plane
_DISC = 0.7  # of the radius: what is counted, all of which is known even where the noise is high
_MAD_TO_SIGMA = 1.4826
_FIRST_SHARE, _PLANE_ROUNDS = 0.4, 8
_FLATTEST = 0.3  # of the area tells the noise: most rooms have as much in walls and floors that nothing stands at
_TRIM, _STRAY = 3.0, 4.0  # standard deviations
_FLAT = 1e-3  # of the radius: points without noise are as flat as that
_LEAST_STEP_M = 1e-5  # the last digits of a coordinate are no step
_FEWEST_GAPS, _STEP_OFF = 10, 0.1  # between coordinates, all of them whole steps but for a tenth of one
_FEWEST_VALUES, _REPEATED = 3, 8  # fewer gaps do where each of so many values stands for so many points


@dataclass(frozen=True)
class SurfaceSample:
    """Places on the surface of a scan.

    per_m2: (S,) points per square metre of surface around each place.  area_m2: (S,) how much surface each stands for;
    their sum is about all of the surface that was seen.  noise_m: standard deviation of the points across the surface.
    extent_m: longest side of the box around all points.
    """

    per_m2: np.ndarray
    area_m2: np.ndarray
    noise_m: float
    extent_m: float

    @property
    def typical_per_m2(self) -> float:
        """The points per square metre that half of the area has, at least."""
        return weighted_quantile(self.per_m2, self.area_m2, 0.5)


@dataclass(frozen=True)
class _Patch:
    """Around one point: points per square metre, noise in metres (NaN: no plane), and whether the point is a stray.

    normal: (3,) of the plane, zero where there is none.  steps: of _steps.
    """

    per_m2: float
    noise_m: float
    stray: bool
    normal: np.ndarray
    steps: np.ndarray

    @classmethod
    def of_stray(cls, inside: int, radius: float, near: np.ndarray) -> _Patch:
        """With so many points within a radius, and without a plane; near: (n, 3) points around."""
        return cls(inside / (math.pi * radius**2), math.nan, True, np.zeros(3), _steps(near))


def _cell_edge(low: np.ndarray, high: np.ndarray) -> float:
    """Edge in metres of the cells by which a scan between two corners (3,) is sampled."""
    return float(np.clip((high - low).max() / _CELLS_ALONG, _LEAST_CELL_M, CELL_M))


def sample_surface(points: PlacedPoints) -> SurfaceSample:
    """Density and noise of a scan, from planes fitted around 256 of its points.

    One point each of cells of 0.5 m, drawn by chance, so that what lies far from the scanner is asked as often as what
    lies near.  Around each a plane is fitted, as large as 48 points and five times the noise need; the points on it
    give the density there, and the number of points in the cell over that density gives the area that it stands for.

    The noise comes from the points' median distances from their planes, of the flattest 30 % of the area.  It does not
    see what is the same for all points of a neighbourhood: an offset or a drift between two passes that never overlap,
    a wrong scale, a bent floor; nor what lies along the surface.  Coordinates rounded to steps count as noise of that
    rounding at least, since all points of a wall may be rounded to one plane.  It takes for noise what is not, where all
    surface is rough or curved within a neighbourhood (few points in a full room), or two passes lie closely beside each
    other.
    """
    edge_m = _cell_edge(points.low, points.high)
    occupied = points.occupied(edge_m)
    chosen = np.arange(len(occupied.counts))
    if len(chosen) > _MOST_SEEDS:
        chosen = np.sort(np.argsort(numbers_of_chance(occupied.cells), kind="stable")[:_MOST_SEEDS])
    usual = weighted_quantile(occupied.counts, occupied.counts, 0.5)  # where there are fewer, the radius grows
    radius = edge_m * min(2.0, math.sqrt(_WANTED_NEIGHBOURS / (math.pi * usual)))
    patches = [_patch(points, seed, radius, edge_m) for seed in occupied.seeds[chosen]]
    per_m2 = np.array([patch.per_m2 for patch in patches])
    noises = np.maximum([patch.noise_m for patch in patches], _rounding(patches))
    stray = np.array([patch.stray for patch in patches])
    area = occupied.counts[chosen] / per_m2 * len(occupied.counts) / len(chosen)
    kept = ~stray if not stray.all() else np.ones(len(patches), dtype=bool)
    planes = kept & np.isfinite(noises)
    noise_m = weighted_quantile(noises[planes], area[planes], _FLATTEST) if planes.any() else 0.0
    return SurfaceSample(per_m2[kept], area[kept], noise_m, float((points.high - points.low).max()))


def _steps(near: np.ndarray) -> np.ndarray:
    """(3,) the steps to which the coordinates of points (n, 3) are rounded; 0: to none, NaN: too few values to tell."""
    steps = np.full(3, np.nan)
    for axis in range(3):
        gaps = np.diff(np.sort(near[:, axis]))
        gaps = gaps[gaps >= _LEAST_STEP_M]
        if len(gaps) >= _FEWEST_GAPS or len(near) > _REPEATED * (len(gaps) + 1) >= _REPEATED * _FEWEST_VALUES:
            in_steps = gaps / gaps.min()
            steps[axis] = gaps.min() if np.all(np.abs(in_steps - np.round(in_steps)) <= _STEP_OFF) else 0.0
    return steps


def _rounding(patches: list[_Patch]) -> np.ndarray:
    """(S,) standard deviation that rounding leaves across each patch; where one shows no step, that of most others."""
    steps = np.stack([patch.steps for patch in patches])
    for axis in steps.T:
        known = np.isfinite(axis)
        axis[~known] = np.median(axis[known]) if known.any() else 0.0
    return np.linalg.norm(np.stack([patch.normal for patch in patches]) * steps, axis=1) / math.sqrt(12)


def weighted_quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The least of the values (n,) such that those up to it have that share of the weights (n,)."""
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(passed, share * passed[-1]).clip(max=len(order) - 1)]])


def _patch(points: PlacedPoints, seed: np.ndarray, radius: float, edge_m: float) -> _Patch:
    """The surface around a point (3,) of the scan, within a radius in metres or as much more as it takes."""
    largest = _LARGEST_RADIUS_CELLS * edge_m
    least = 0.0  # of the radius, where noise or the lines of a scanner ask for more than the points do
    while True:
        near = points.within(seed - radius, seed + radius) - seed
        distances = np.linalg.norm(near, axis=1)
        inside = int(np.count_nonzero(distances <= radius))
        if inside < _ENOUGH_NEIGHBOURS and radius < largest:
            radius = min(largest, radius * float(np.clip(math.sqrt(_WANTED_NEIGHBOURS / max(1, inside)), 1.5, 3.0)))
            continue
        if inside > _WANTED_NEIGHBOURS:
            nearest = float(np.partition(distances, _WANTED_NEIGHBOURS)[_WANTED_NEIGHBOURS])
            radius = min(radius, max(least, nearest, _LEAST_RADIUS_CELLS * edge_m))
            inside = int(np.count_nonzero(distances <= radius))
        if inside < _ENOUGH_NEIGHBOURS or np.count_nonzero(distances <= radius / 2) < _LEAST_NEAR_SHARE * inside:
            return _Patch.of_stray(inside, radius, near)
        ball = near[distances <= radius]
        ball = ball[np.lexsort(ball.T)]  # the order of a sum decides its last digit
        plane = _Plane.through(ball[:: 1 + len(ball) // _MOST_IN_PLANE])
        too_noisy = plane.noise_m > _NOISE_PER_RADIUS * radius and radius < edge_m
        if (too_noisy or plane.spread < _LEAST_SPREAD) and radius < largest:
            least = radius = min(largest, radius * _GROWTH)
            continue
        break
    height = max(3 * plane.noise_m, _FLAT * radius)
    stray = abs(plane.height_of_origin) > max(_STRAY * plane.noise_m, _FLAT * radius)
    along = plane.distances_along(near[np.abs(plane.heights(near)) <= height])  # the first is that of the point itself
    last = min(_COUNTED_NEIGHBOURS, int(np.count_nonzero(along <= _DISC * radius)) - 1)
    if last < _LEAST_IN_PLANE:
        return _Patch.of_stray(inside, radius, near)
    disc = max(float(np.partition(along, last)[last]), 1e-9)
    return _Patch(last / (math.pi * disc**2), plane.noise_m, stray, plane.axes[:, 0], _steps(near))


@dataclass(frozen=True)
class _Plane:
    """centre: (3,) of its points.  axes: (3, 3), columns by rising variance, the first its normal.  spread: the lesser
    over the greater variance along it."""

    centre: np.ndarray
    axes: np.ndarray
    noise_m: float
    spread: float

    @classmethod
    def through(cls, points: np.ndarray) -> _Plane:
        """The plane of those of the points (n, 3) that are on the same sheet as the origin, which is one of them.

        It begins with the points that are as high as the origin and takes more until none is left within three standard
        deviations: so the other side of a wall is left out, unless noise fills what is between.
        """
        centre, _, axes = _principal(points)
        heights = np.abs(points @ axes[:, 0])
        kept = heights <= np.quantile(heights, _FIRST_SHARE)
        for _ in range(_PLANE_ROUNDS):
            centre, variances, axes = _principal(points[kept])
            heights = (points - centre) @ axes[:, 0]
            middle = np.median(heights[kept])
            sigma = _MAD_TO_SIGMA * float(np.median(np.abs(heights[kept] - middle)))
            taken = np.abs(heights - middle) <= _TRIM * sigma
            if np.array_equal(taken, kept) or np.count_nonzero(taken) < _LEAST_IN_PLANE:
                break
            kept = taken
        count = int(np.count_nonzero(kept))
        freedom = math.sqrt(count / max(1, count - 3))
        return cls(centre, axes, sigma * freedom, float(variances[1] / max(variances[2], 1e-300)))

    @property
    def height_of_origin(self) -> float:
        return float(self.centre @ self.axes[:, 0])

    def heights(self, points: np.ndarray) -> np.ndarray:
        return (points - self.centre) @ self.axes[:, 0]

    def distances_along(self, points: np.ndarray) -> np.ndarray:
        """(n,) distances from the origin, measured along the plane."""
        return np.linalg.norm(points @ self.axes[:, 1:], axis=1)


def _principal(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (3,), rising variances (3,) times their number, and axes (3, 3), columns, of points (n, 3)."""
    centre = points.mean(axis=0)
    return centre, *np.linalg.eigh((points - centre).T @ (points - centre))
