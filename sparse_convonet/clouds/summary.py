"""What a cloud looks like before anything is done to it: size, spacing, and guesses of its up axis and units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.clouds.steps import coordinate_step
from sparse_convonet.structures import LengthUnit, PointCloud

_SPACING_SAMPLE = 10_000
_UP_SAMPLE = 200_000
_UP_CELLS = 300  # cells along the longest edge: some 10 cm in a building of 30 m
_ROBUST_QUANTILES = (0.005, 0.995)

# So much of the surface in a few neighbouring layers of two axes: two planes, of which either may be the ground.
_PLANE_SHARE, _PLANE_LAYERS, _PLANES_CONFIDENCE = 0.3, 3, 0.1
# An axis other than z points down where all lies below its zero, or the surface lies so much above the middle.
_ZERO_SHARE, _DOWN_SHARE = 0.1, 0.1

# Larger than these, and the numbers are hardly metres; nor are they where a scan is so high, and that beside its width.
_LARGEST_EXTENT_M = 500.0
_LARGEST_SPACING_M = 1.0
_LARGEST_HEIGHT_M, _LARGEST_HEIGHT_SHARE = 50.0, 0.25
# What a scan of a room or building usually has; the guess between other units goes by the nearest.
_USUAL_EXTENT_M, _USUAL_HEIGHT_M, _USUAL_SPACING_M = 15.0, 4.0, 0.015
SCALES = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254, "feet": 0.3048}
_RARE, _RARITY = ("inches", "feet"), 0.3  # squared decades of misfit


@dataclass(frozen=True)
class CloudSummary:
    """Facts about a cloud and guesses, each with a confidence from 0 (a toss) to 1.

    points: how many.  extent: (3,) float64, highest minus lowest coordinate.  spacing: median distance to the nearest
    other place that holds a point.  Both in the units of the cloud; spacing_m and extent_m in metres, by the scale.
    up: of coordinates.UP_AXES.  units: 'metres' or one of SCALES; feet of a low building pass for metres.  step: that in
    which coordinates come along the axis where it is coarsest, 0 where they come in none; see steps.coordinate_step.
    suggested_scale: what to multiply coordinates by to get metres, if the guess of the units is right.  units_declared:
    the file says its units, which then may have any name; the scale is NaN where they are no lengths.
    """

    points: int
    extent: np.ndarray
    spacing: float
    up: str
    up_confidence: float
    units: str
    units_confidence: float
    suggested_scale: float
    step: float
    units_declared: bool = False

    @property
    def extent_m(self) -> np.ndarray:
        """(3,) float64, metres."""
        return self.extent * self.suggested_scale

    @property
    def spacing_m(self) -> float:
        """Median distance between neighbouring points, metres."""
        return self.spacing * self.suggested_scale

    def __str__(self) -> str:
        size = " x ".join(f"{edge:.4g}" for edge in self.extent)
        return (
            f"{self.points} points, {size} in the file's units, probably {self.units} "
            f"(confidence {self.units_confidence:.2f}), {self.spacing:.3g} apart, "
            f"{self.up} up (confidence {self.up_confidence:.2f})"
        )


def describe(cloud: PointCloud, seed: int = 0) -> CloudSummary:
    """Measure a cleaned cloud of finite points and guess its up axis and units.  Raises ValueError without points."""
    if len(cloud) == 0 or not np.isfinite(cloud.points).all():
        raise ValueError(f"point cloud: expected finite points, found NaN, inf or none in {len(cloud)}; clean it first")
    extent = np.array([np.ptp(values) for values in cloud.points.T])  # axis by axis is faster than ptp(axis=0)
    rows = draw_rows(len(cloud), seed)
    spacing = median_distance(nearest_among(cloud.points, cloud.points[rows.queries]), len(cloud))
    return summarise(len(cloud), extent, cloud.points[rows.outline], spacing, cloud.points[rows.up], cloud.unit)


@dataclass(frozen=True)
class SampledRows:
    """Which points of a cloud stand for all: for its outline, the distances between them, and the up axis."""

    outline: np.ndarray
    queries: np.ndarray
    up: np.ndarray


def draw_rows(count: int, seed: int) -> SampledRows:
    """Rows of a cloud of `count` points, int64 each; all of them where they are few."""
    rng = np.random.default_rng(seed)
    return SampledRows(*(_draw(count, size, rng) for size in (_UP_SAMPLE, _SPACING_SAMPLE, _UP_SAMPLE)))


def summarise(
    count: int,
    extent: np.ndarray,
    outline: np.ndarray,
    spacing: float,
    up_sample: np.ndarray,
    unit: LengthUnit | None = None,
) -> CloudSummary:
    """What describe says, from the extent (3,), samples (n, 3) and declared unit of a cloud of `count` points."""
    low, high = np.quantile(outline, _ROBUST_QUANTILES, axis=0)
    up, up_confidence = guess_up_axis(up_sample)
    step = max(coordinate_step(values) for values in outline.T)
    if unit is not None:
        return CloudSummary(
            count, extent, spacing, up, up_confidence, unit.name, 1.0, unit.metres, step, units_declared=True
        )
    units, units_confidence = _guess_units(high - low, float((high - low)["xyz".index(up[-1])]), spacing)
    scale = SCALES.get(units, 1.0)
    return CloudSummary(count, extent, spacing, up, up_confidence, units, units_confidence, scale, step)


def _draw(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(count) if count <= size else rng.integers(0, count, size)


def median_spacing(points: np.ndarray, rng: np.random.Generator) -> float:
    """Median distance from a random point of (N, 3) to the nearest other place; 0 where there is only one place."""
    return median_distance(nearest_among(points, points[_draw(len(points), _SPACING_SAMPLE, rng)]), len(points))


def nearest_among(points: np.ndarray, queries: np.ndarray) -> Callable[[int], np.ndarray]:
    """A function of k that gives the distances of (Q, 3) queries to their k nearest of (N, 3) points: (Q, k)."""
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False, leafsize=32)
    return lambda neighbours: tree.query(queries, k=neighbours)[0]


def median_distance(nearest: Callable[[int], np.ndarray], count: int) -> float:
    """Median distance to the nearest other place, from the function of nearest_among for a cloud of `count` points."""
    neighbours = 2
    while True:
        distances = nearest(neighbours)  # (Q, k); the point itself and its duplicates come first
        distances = np.where((distances > 0) & np.isfinite(distances), distances, np.inf)
        least = distances.min(axis=1)
        if np.isfinite(least).mean() > 0.5:
            return float(np.median(least))
        if neighbours >= min(count, 64):
            return float(np.median(least[np.isfinite(least)])) if np.isfinite(least).any() else 0.0
        neighbours = min(4 * neighbours, count, 64)


def guess_up_axis(sample: np.ndarray) -> tuple[str, float]:
    """Points (n, 3) -> (of coordinates.UP_AXES, confidence): the axis along which surfaces gather in the fewest layers.

    Floors and ceilings put much surface at few heights, and buildings are lower than wide.  Per axis: the probability
    that two random cells of the occupied surface lie in the same layer.  Cells, not points, so that dense spots near
    the scanner do not count more.  The confidence is how far the second best axis falls behind.  Where most of the surface
    is two planes, as a facade and the street before it, nothing tells which is the ground: z, if it is among them, with
    little confidence.  z never points down; in frames of cameras, y does.
    """
    low, high = np.quantile(sample, _ROBUST_QUANTILES, axis=0)
    cell = float((high - low).max()) / _UP_CELLS
    if cell == 0:
        return "z", 0.0
    inside = sample[np.all((sample >= low) & (sample <= high), axis=1)]
    index = np.floor((inside - low) / cell).astype(np.int64)  # (n, 3), each in [0, _UP_CELLS]
    keys = np.unique((index[:, 0] * 1024 + index[:, 1]) * 1024 + index[:, 2])
    layers = (keys >> 20, (keys >> 10) & 1023, keys & 1023)
    gathered = np.array([np.sum((np.bincount(layer) / len(keys)) ** 2) for layer in layers])
    order = np.argsort(gathered)[::-1]
    axis, confidence = int(order[0]), float(1 - gathered[order[1]] / gathered[order[0]])
    if min(_largest_plane(layers[other]) for other in order[:2]) > _PLANE_SHARE:
        axis, confidence = 2 if 2 in order[:2] else axis, min(confidence, _PLANES_CONFIDENCE)
    height = max(float((high - low)[axis]), cell)
    middle = float((layers[axis] + 0.5).mean()) * cell / height - 0.5
    return "-" * _points_down(axis, float(low[axis]), float(high[axis]), middle) + "xyz"[axis], confidence


def _largest_plane(layer: np.ndarray) -> float:
    """The largest share of the cells, of the layers (C,), in a few neighbouring layers."""
    counts = np.bincount(layer)
    return float(np.convolve(counts, np.ones(_PLANE_LAYERS)).max() / len(layer))


def _points_down(axis: int, low: float, high: float, middle: float) -> bool:
    """Whether an axis points down; middle: how far the mean of the surface lies above the middle, in heights.

    Floors lie at zero, or the furniture on them draws the surface's middle down.
    """
    near = _ZERO_SHARE * (high - low)
    if axis == 2 or abs(low) <= near:
        return False
    return abs(high) <= near or middle > _DOWN_SHARE


def _guess_units(extent: np.ndarray, height: float, spacing: float) -> tuple[str, float]:
    """(units, confidence) from the robust extent (3,), that along the up axis, and the spacing, in the file's units."""
    is_low = height <= max(_LARGEST_HEIGHT_M, _LARGEST_HEIGHT_SHARE * extent.max())
    if extent.max() <= _LARGEST_EXTENT_M and spacing <= _LARGEST_SPACING_M and is_low:
        return "metres", 1.0
    usual = np.array([_USUAL_EXTENT_M, _USUAL_HEIGHT_M, _USUAL_SPACING_M])
    found = np.maximum([extent.max(), height, spacing], 1e-12)
    # Squared distance of the logarithms: a factor of ten too large is as wrong as one too small.
    misfit = {
        name: float(np.sum(np.log10(found * scale / usual) ** 2)) + _RARITY * (name in _RARE)
        for name, scale in {"metres": 1.0, **SCALES}.items()
    }
    best, second = sorted(misfit, key=misfit.__getitem__)[:2]
    return best, float(1 - 10 ** -(misfit[second] - misfit[best]))
