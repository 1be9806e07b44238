"""Stage picture: a picture of points on surfaces, each as a disc that is as large as the gaps around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.picture.camera import ParallelCamera, lay_out

_OVERSAMPLING = 2
_MARGIN_PIXELS = 8
_NEIGHBOURS = 8
_DISC_SHARE = 0.85  # of the distance to the 8th neighbour: one place in 300 on a surface stays uncovered
_RADII = (1.0, 9.0)  # subpixels
_AMBIENT = 0.35
_SUN = np.array([-0.45, 0.75, 0.5])  # right, up, towards the viewer
_RING_SUBPIXELS = 3
_EDGE_STRENGTH, _EDGE_SHARE = 4.0, 0.04  # of the extent: no step in depth counts for more
_NOTHING = np.float32(np.inf)


@dataclass(frozen=True)
class CloudView:
    """picture: (H, W, 3) uint8 on white.  depth: (h, w) float32 in subpixels, infinite where nothing is seen."""

    picture: np.ndarray
    depth: np.ndarray


def draw_points(
    points: np.ndarray,
    colours: np.ndarray,
    normals: np.ndarray | None,
    camera: ParallelCamera,
    width: int,
    height: int,
) -> CloudView:
    """Points (N, 3), z up, in colours (N, 3) uint8; N at least 1.  What is nearer hides what is behind it.

    normals (N, 3): surfaces seen from behind are left out, and the others shaded; None: all are shown, and only steps
    in depth are shaded.
    """
    spacing = _spacing(points)
    if normals is not None:
        facing = normals @ camera.forward < 0
        if facing.any():
            points, colours, normals, spacing = points[facing], colours[facing], normals[facing], spacing[facing]
    plane, depth = camera.project(points), points @ camera.forward
    box = np.stack([plane.min(axis=0), plane.max(axis=0)])
    fine_width, fine_height = width * _OVERSAMPLING, height * _OVERSAMPLING
    (panel,) = lay_out([box], fine_width, fine_height, _MARGIN_PIXELS * _OVERSAMPLING)
    pixels = panel.pixels(plane)
    radii = np.clip(np.rint(_DISC_SHARE * spacing / panel.metres_per_pixel), *_RADII).astype(np.int64)
    owner, nearest = _splat(pixels, (depth / panel.metres_per_pixel).astype(np.float32), radii, fine_width, fine_height)
    seen = owner >= 0
    light = _edge_light(nearest, max(fine_width, fine_height) * _EDGE_SHARE)
    if normals is not None:
        light[seen] *= _sunlight(normals, camera)[owner[seen]]
    fine = np.full((fine_height, fine_width, 3), 255.0)
    fine[seen] = colours[owner[seen]] * light[seen, None]
    shape = (height, _OVERSAMPLING, width, _OVERSAMPLING, 3)
    return CloudView(np.rint(fine.reshape(shape).mean(axis=(1, 3))).astype(np.uint8), nearest)


def _spacing(points: np.ndarray) -> np.ndarray:
    """(N,) distance to the 8th neighbour, or to the last one that there is."""
    count = min(len(points), _NEIGHBOURS + 1)
    distances, _ = cKDTree(points).query(points, [count])
    return distances[:, 0]


def _splat(
    pixels: np.ndarray, depth: np.ndarray, radii: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which point (index or -1) each pixel shows, and its depth: both (height, width)."""
    nearest = np.full(height * width, _NOTHING)
    owner = np.full(height * width, -1)
    far_to_near = np.argsort(-depth, kind="stable")
    columns, rows = np.floor(pixels).astype(np.int64).T
    for radius in np.unique(radii):
        chosen = far_to_near[radii[far_to_near] == radius]
        for right in range(-radius, radius + 1):
            for down in range(-radius, radius + 1):
                if right * right + down * down > radius * radius:
                    continue
                column, row = columns[chosen] + right, rows[chosen] + down
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                target, point = (row * width + column)[inside], chosen[inside]
                nearer = depth[point] < nearest[target]
                target, point = target[nearer], point[nearer]
                nearest[target], owner[target] = depth[point], point  # of several the last stays, the nearest
    return owner.reshape(height, width), nearest.reshape(height, width)


def _edge_light(depth: np.ndarray, largest_step: float) -> np.ndarray:
    """(h, w) share of light that is left beside what is nearer: eye-dome lighting (Boucheny 2009)."""
    around = np.pad(depth, _RING_SUBPIXELS, constant_values=_NOTHING)
    height, width = depth.shape
    hidden = np.zeros_like(depth)
    angles = np.arange(8) * np.pi / 4
    for down, right in np.rint(_RING_SUBPIXELS * np.stack([np.sin(angles), np.cos(angles)], axis=1)).astype(int):
        top, left = _RING_SUBPIXELS + down, _RING_SUBPIXELS + right
        other = around[top : top + height, left : left + width]
        step = np.where(np.isfinite(depth) & np.isfinite(other), depth - np.where(np.isfinite(other), other, 0), 0)
        hidden += np.clip(step - 2 * _RING_SUBPIXELS, 0, largest_step) / largest_step  # slopes cast no shade
    return np.exp(-_EDGE_STRENGTH * hidden / 8)


def _sunlight(normals: np.ndarray, camera: ParallelCamera) -> np.ndarray:
    """(N,) share of light."""
    axes = np.stack([camera.right, camera.up, -camera.forward], axis=1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    towards_sun = (normals / np.maximum(lengths, 1e-6)) @ axes @ (_SUN / np.linalg.norm(_SUN))
    return _AMBIENT + (1 - _AMBIENT) * np.clip(0.5 + 0.5 * towards_sun, 0, 1)
