"""What a real scan would have of points that were drawn without errors: noise, passes that disagree, gaps, strays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.data.scanner.errors import kept_points
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.data.scanner.visible_surface import SeenPoints

_NOISE_M = (0.001, 0.03)  # standard deviation, drawn log-uniformly
_MOST_NOISE = 0.6  # voxels: voxels are chosen by the noise of a scan, up to 0.45, which is an estimate
_ALONG_RAY = 0.9  # of the noise; across it less
_ACROSS_RAY = 0.3
_SEVERAL_PASSES_SHARE = 0.3  # of the scans
_PASSES = (2, 5)
_DISAGREEMENT_M = (0.005, 0.02)
_FLOOR_MISSING_SHARE, _CEILING_MISSING_SHARE = 0.05, 0.08  # of the scans
_LEVEL = 0.7  # a surface is level where |normal z| is above
_MORE_NOISE = (0.1, _MOST_NOISE)  # voxels, of scans that become noisier, drawn uniformly
_STRAY_SHARE = 0.004  # of the points, at most
_NORMAL_ERROR = 0.1  # radians, of normals that are given


def with_errors(seen: SeenPoints, voxel_size_m: float, rng: np.random.Generator) -> SeenPoints:
    """The points as a scanner would have measured them, of a scanner drawn at random."""
    settings = replace(ScannerSettings.draw(rng), thinning=float(rng.choice([0.0, rng.uniform(0, 0.8)])))
    keep = kept_points(seen.points, seen.normals, settings, rng)
    for share, sign in ((_FLOOR_MISSING_SHARE, 1), (_CEILING_MISSING_SHARE, -1)):
        if rng.random() < share:
            keep &= sign * seen.normals[:, 2] < _LEVEL
    seen = seen.select(keep)
    limit = _MOST_NOISE * voxel_size_m
    noise = min(float(np.exp(rng.uniform(*np.log(_NOISE_M)))), limit)
    points = _shaken(seen, noise, rng)
    if rng.random() < _SEVERAL_PASSES_SHARE:
        offsets = rng.normal(0, min(rng.uniform(*_DISAGREEMENT_M), limit) / np.sqrt(3), (rng.integers(*_PASSES), 3))
        points = points + offsets[rng.integers(len(offsets), size=len(points))]
    stray = np.flatnonzero(rng.random(len(points)) < rng.uniform(0, _STRAY_SHARE))
    way = seen.scanners[stray] - points[stray]
    points[stray] += way * rng.uniform(0, 0.9, (len(stray), 1))
    return SeenPoints(points, seen.normals, seen.scanners)


def noisier(seen: SeenPoints, voxel_size_m: float, rng: np.random.Generator) -> SeenPoints:
    """A scan as one of a worse scanner: handheld ones measure densely, with noise of 1 to 3 cm."""
    return SeenPoints(_shaken(seen, rng.uniform(*_MORE_NOISE) * voxel_size_m, rng), seen.normals, seen.scanners)


def _shaken(seen: SeenPoints, noise_m: float, rng: np.random.Generator) -> np.ndarray:
    """(N, 3) float64 points with noise of that standard deviation, most of it along the ray."""
    towards = directions_to(seen)
    points = seen.points + towards * (_ALONG_RAY * noise_m * rng.normal(size=(len(towards), 1)))
    return points + rng.normal(0, _ACROSS_RAY * noise_m, points.shape)


def directions_to(seen: SeenPoints) -> np.ndarray:
    """(N, 3) unit vectors from the points to their scanners."""
    way = seen.scanners - seen.points
    return way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)


def draw_hints(
    seen: SeenPoints, direction_share: float, normal_share: float, rng: np.random.Generator
) -> np.ndarray | None:
    """(N, 6) float32 direction to the scanner and normal, each known with its share of the scans; None: neither is."""
    with_directions, with_normals = rng.random(2) < (direction_share, normal_share)
    if not (with_directions or with_normals):
        return None
    hints = np.zeros((len(seen.points), 6), dtype=np.float32)
    if with_directions:
        hints[:, :3] = directions_to(seen)
    if with_normals:
        normals = seen.normals + rng.normal(0, _NORMAL_ERROR, seen.normals.shape)
        hints[:, 3:] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return hints
