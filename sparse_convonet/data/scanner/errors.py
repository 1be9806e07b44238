"""What goes wrong with a whole scan: missing patches, panes of glass, uneven density, tilt, rounding."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.scanner.settings import ScannerSettings

_FIELD_WAVES = 10
_THINNING_METRES = 2.5  # over which the density changes
_PANE_RADIUS_M = (0.3, 0.9)
_PANE_DEPTH_M = 0.06  # points so near the plane of a pane belong to it
_PANE_LOSS = 0.97
_UPRIGHT = 0.3  # a surface is upright where |normal z| is below


def kept_points(
    points: np.ndarray, normals: np.ndarray, settings: ScannerSettings, rng: np.random.Generator
) -> np.ndarray:
    """(N,) bool mask of the (N, 3) points that survive patches, panes of glass and uneven density.

    normals: (N, 3) of the surfaces that were hit.
    """
    keep = np.ones(len(points), dtype=bool)
    if len(points) == 0:
        return keep
    if settings.patch_share > 0:
        field = random_field(points, 2 * settings.patch_size_m, rng)
        keep &= field <= np.quantile(field, 1 - settings.patch_share)
    if settings.thinning > 0:
        field = random_field(points, _THINNING_METRES, rng)
        loss = settings.thinning / (1 + np.exp(-2 * field))
        keep &= rng.random(len(points)) >= loss
    upright = np.flatnonzero(np.abs(normals[:, 2]) < _UPRIGHT)
    for _ in range(settings.glass_panes if len(upright) else 0):
        centre = rng.choice(upright)
        offsets = points - points[centre]
        in_plane = np.abs(offsets @ normals[centre]) < _PANE_DEPTH_M
        near = np.einsum("ij,ij->i", offsets, offsets) < rng.uniform(*_PANE_RADIUS_M) ** 2
        keep &= ~(in_plane & near & (rng.random(len(points)) < _PANE_LOSS))
    return keep


def random_field(points: np.ndarray, wavelength_m: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) smooth random field of mean 0 and standard deviation about 1 at (N, 3) points."""
    waves = rng.normal(0, 2 * np.pi / wavelength_m / np.sqrt(3), (_FIELD_WAVES, 3))
    phases = rng.uniform(0, 2 * np.pi, _FIELD_WAVES)
    total = np.zeros(len(points))
    for wave, phase in zip(waves, phases, strict=True):  # one by one: no (N, waves) array
        total += np.cos(points @ wave + phase)
    return total * np.sqrt(2.0 / _FIELD_WAVES)


def tilt(points: np.ndarray, tilt_deg: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How a scan (N, 3) is out of level: a rotation (3, 3) by tilt_deg about a random level axis, and the mean point (3,)
    that it leaves in place."""
    if tilt_deg == 0 or len(points) == 0:
        return np.eye(3), np.zeros(3)
    heading, angle = rng.uniform(0, 2 * np.pi), np.deg2rad(tilt_deg)
    axis = np.array([np.cos(heading), np.sin(heading), 0.0])
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, points.mean(axis=0)  # Rodrigues


def quantised(points: np.ndarray, quantum_m: float) -> np.ndarray:
    """(N, 3) points rounded to whole multiples of quantum_m; 0 leaves them."""
    return points if quantum_m == 0 else np.round(points / quantum_m) * quantum_m
