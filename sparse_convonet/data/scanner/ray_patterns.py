"""Where a scanner's rays start and where they point: panoramas and a spinning head that is carried along a path."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.scanner.settings import ScannerSettings

_GOLDEN_TURN = np.pi * (3.0 - np.sqrt(5.0))
_SWAY_METRES = (1.5, 6.0)  # a carried head sways once in so many metres walked
_DRIFT_METRES = (8.0, 30.0)
_LEAST_METRES = 5.0
_WAVES = 4


def panorama_directions(rays: int, settings: ScannerSettings, rng: np.random.Generator) -> np.ndarray:
    """(rays, 3) float64 unit vectors on a spiral over the elevations of the settings, from a random azimuth.

    With pole_crowding 0 every solid angle between the elevations gets the same share of the rays, so that
    the density on a surface falls with the square of its distance.
    """
    level = (np.arange(rays) + 0.5) / rays
    low, high = np.deg2rad(settings.lowest_deg), np.deg2rad(settings.highest_deg)
    by_area = np.arcsin(np.sin(low) + level * (np.sin(high) - np.sin(low)))
    by_angle = low + level * (high - low)
    elevation = by_area + settings.pole_crowding * (by_angle - by_area)
    return _unit_vectors(rng.uniform(0, 2 * np.pi) + _GOLDEN_TURN * np.arange(rays), elevation)


def head_rays(
    path: np.ndarray, rays: int, settings: ScannerSettings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rays of a spinning head that is carried along a polyline (P, 3), metres.

    Returns origins (rays, 3), unit directions (rays, 3) and drift (rays, 3): how far the points of each
    ray will be misplaced by the error of the scanner's own trajectory, of standard deviation registration_m.
    """
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])  # (P,) metres
    time = (np.arange(rays) + rng.random(rays)) / rays  # (rays,) ascending in [0, 1)
    origins = np.stack([np.interp(time * arc[-1], arc, path[:, axis]) for axis in range(3)], axis=1)

    # Who stands still or hardly moves goes on turning and swaying, as over some metres.
    walked = time * max(float(arc[-1]), _LEAST_METRES)
    azimuth = rng.uniform(0, 2 * np.pi) + 2 * np.pi * settings.revolutions_per_metre * walked
    half = np.deg2rad(settings.head_fov_deg) / 2
    ring_elevations = np.linspace(-half, half, settings.rings) if settings.rings > 1 else np.zeros(1)
    directions = _unit_vectors(azimuth, ring_elevations[rng.integers(settings.rings, size=rays)])

    amplitude = np.deg2rad(settings.head_tilt_deg)
    pitch, roll = (np.clip(_wobble(walked, _SWAY_METRES, rng), -2, 2) / 2 * amplitude for _ in range(2))
    directions = _turn(_turn(directions, pitch, (2, 0)), roll, (1, 2))
    drift = settings.registration_m * np.stack([_wobble(walked, _DRIFT_METRES, rng) for _ in range(3)], axis=1)
    return origins, directions, drift


def perturb(directions: np.ndarray, angle: float, rng: np.random.Generator) -> np.ndarray:
    """(R, 3) unit vectors, each turned by about `angle` (radians) to a random side."""
    moved = directions + angle * rng.normal(0, 1 / np.sqrt(2), directions.shape)
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def _unit_vectors(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    level = np.cos(elevation)
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=1)


def _wobble(walked: np.ndarray, wavelengths: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """(R,) a smooth random function of the metres walked, of standard deviation 1 over random phases."""
    total = np.zeros(len(walked))
    for _ in range(_WAVES):
        total += np.sin(2 * np.pi * (walked / rng.uniform(*wavelengths) + rng.random()))
    return total * np.sqrt(2.0 / _WAVES)


def _turn(vectors: np.ndarray, angles: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    """(R, 3) vectors, each turned by its own angle (R,) in the plane of two axes, the first towards the second."""
    first, second = axes
    turned = vectors.copy()
    turned[:, first] = np.cos(angles) * vectors[:, first] - np.sin(angles) * vectors[:, second]
    turned[:, second] = np.sin(angles) * vectors[:, first] + np.cos(angles) * vectors[:, second]
    return turned
