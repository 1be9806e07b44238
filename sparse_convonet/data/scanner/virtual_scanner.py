"""A virtual scanner: what a panoramic or a carried laser scanner measures of a triangle mesh."""

from __future__ import annotations

import logging

import numpy as np

from sparse_convonet.data.scanner.errors import kept_points, quantised, tilt
from sparse_convonet.data.scanner.ray_patterns import head_rays, panorama_directions, perturb
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import PointCloud

__all__ = ["ScannerSettings", "VirtualScanner"]

_LOG = logging.getLogger(__name__)

_EDGE_STEP_M = 0.1  # a beam straddles an edge where one side leaves the plane of the other by more
_OUTLIER_BEHIND_M = 1.0  # outliers reach so far behind the true hit
_SHADOW_DEG = (3.0, 12.0)  # half angles of the cones without returns


class VirtualScanner:
    """Casts rays at a mesh, z up; walls hide what is behind them, open doors show the next room.

    vertices: (V, 3) metres.  faces: (F, 3) vertex indices; a triangle soup will do.
    threads: of the ray caster; 1 leaves the other cores to other workers.
    Raises ValueError on an empty or broken mesh.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, threads: int = 1) -> None:
        self.scene = TriangleScene(vertices, faces, threads)

    def first_hits(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What rays from (R, 3) origins along (R, 3) directions of any length meet first, without errors.

        Returns hit (R,) bool, points (R, 3) float64 and unit normals (R, 3) float64 that look towards the
        origin of the ray.  Points are NaN and normals zero where nothing is hit.
        """
        origins = np.asarray(origins, dtype=np.float64)
        directions = np.asarray(directions, dtype=np.float64)
        if origins.shape != directions.shape or origins.ndim != 2 or origins.shape[1] != 3:
            raise ValueError(
                f"rays: expected origins and directions of one shape (R, 3), found {origins.shape} "
                f"and {directions.shape}"
            )
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise ValueError("rays: expected directions of a length above zero, found zero or NaN")
        directions = directions / lengths
        distances, normals = self.scene.first_hits(origins, directions)
        hit = np.isfinite(distances)
        points = origins + np.where(hit, distances, np.nan)[:, None] * directions
        return hit, points, normals

    def panorama(
        self, station: np.ndarray, rays: int, settings: ScannerSettings, rng: np.random.Generator
    ) -> np.ndarray:
        """(N, 3) float64 points, N <= rays, that one station (3,) measures, with the errors of its sensor.

        Errors of the whole scan (patches, thinning, registration, tilt, rounding) are left to scan_stations.
        """
        return self._panorama(np.asarray(station, dtype=np.float64), rays, settings, rng)[0]

    def scan_stations(
        self, stations: np.ndarray, rays_per_station: int, settings: ScannerSettings, rng: np.random.Generator
    ) -> PointCloud:
        """Panoramas from (S, 3) stations in one cloud, in the order in which they were measured.

        The cloud has the normals of the surfaces on the scanner's side, without errors, and where the scanner stood.
        """
        stations = _positions(stations, "stations")
        _check_rays(rays_per_station)
        parts = []
        for station in stations:
            points, normals = self._panorama(station, rays_per_station, settings, rng)
            angle = np.deg2rad(rng.normal(0, settings.registration_deg))
            turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
            offset = rng.normal(0, settings.registration_m, 3)
            scanners = np.broadcast_to(station + offset, points.shape)
            parts.append(((points - station) @ turn.T + station + offset, normals @ turn.T, scanners))
        points, normals, scanners = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return _finish(points, normals, scanners, settings, rng)

    def scan_path(
        self, path: np.ndarray, total_rays: int, settings: ScannerSettings, rng: np.random.Generator
    ) -> PointCloud:
        """What a spinning head sees that is carried along the polyline (P, 3), in the order of the walk.

        Normals and scanners as of scan_stations.
        """
        path = _positions(path, "path")
        _check_rays(total_rays)
        origins, directions, drift = head_rays(path, total_rays, settings, rng)
        points, normals, measured = self._measure(origins, directions, settings, rng)
        scanners = origins[measured] + drift[measured]
        return _finish(points + drift[measured], normals, scanners, settings, rng)

    def _panorama(
        self, station: np.ndarray, rays: int, settings: ScannerSettings, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        directions = panorama_directions(rays, settings, rng)
        for _ in range(rng.poisson(settings.shadows_per_station)):
            axis = perturb(np.zeros((1, 3)), 1.0, rng)[0]
            directions = directions[directions @ axis < np.cos(np.deg2rad(rng.uniform(*_SHADOW_DEG)))]
        points, normals, _ = self._measure(np.tile(station, (len(directions), 1)), directions, settings, rng)
        return points, normals

    def _measure(
        self, origins: np.ndarray, directions: np.ndarray, settings: ScannerSettings, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points (N, 3), normals (N, 3) and indices (N,) of the rays that return something."""
        ranges, normals = self.scene.first_hits(origins, directions)
        cosine = np.abs(np.einsum("ij,ij->i", normals, directions))
        near, far = settings.min_range_m, settings.max_range_m
        # Embree's triangles can be degenerate: their normal is zero, and such a hit counts as head-on.
        cosine[(normals == 0).all(axis=1)] = 1.0
        returned = np.flatnonzero((ranges >= near) & (ranges <= far) & (cosine >= settings.grazing_cosine))
        origins, directions, cosine, normals = (array[returned] for array in (origins, directions, cosine, normals))
        ranges = self._mix_edges(ranges[returned], origins, directions, normals, settings, rng)
        sigma = settings.noise_m + settings.noise_per_metre * ranges
        sigma = sigma * (1 + settings.incidence_gain * (1 - cosine))
        ranges = ranges + rng.normal(0, 1, len(ranges)) * sigma
        stray = np.flatnonzero(rng.random(len(ranges)) < settings.outlier_share)
        ranges[stray] = rng.uniform(near, np.minimum(ranges[stray] + _OUTLIER_BEHIND_M, far))
        return origins + ranges[:, None] * directions, normals, returned

    def _mix_edges(
        self,
        ranges: np.ndarray,
        origins: np.ndarray,
        directions: np.ndarray,
        normals: np.ndarray,
        settings: ScannerSettings,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """(R,) ranges; beams that straddle an edge may return something between the front and the back."""
        chosen = np.flatnonzero(rng.random(len(ranges)) < settings.mixed_share)
        beside = perturb(directions[chosen], np.deg2rad(settings.beam_width_deg), rng)
        other, _ = self.scene.first_hits(origins[chosen], beside)
        # Where the surface goes on as a plane, the beam's other side is so far away:
        ahead, aside = (np.einsum("ij,ij->i", normals[chosen], rays) for rays in (directions[chosen], beside))
        plane = ranges[chosen] * ahead / np.where(aside == 0, 1.0, aside)
        edge = np.isfinite(other) & (np.abs(other - plane) > _EDGE_STEP_M)
        share = rng.random(len(chosen))
        mixed = ranges.copy()
        mixed[chosen[edge]] += (share * (other - ranges[chosen]))[edge]
        return mixed


def _finish(
    points: np.ndarray,
    normals: np.ndarray,
    scanners: np.ndarray,
    settings: ScannerSettings,
    rng: np.random.Generator,
) -> PointCloud:
    keep = kept_points(points, normals, settings, rng)
    if not keep.any():
        nearest, farthest = settings.min_range_m, settings.max_range_m
        _LOG.warning("the scan is empty: no ray came back from a range of %g to %g m", nearest, farthest)
    turn, centre = tilt(points[keep], settings.tilt_deg, rng)
    points, scanners = ((each[keep] - centre) @ turn.T + centre for each in (points, scanners))
    normals = (normals[keep] @ turn.T).astype(np.float32)
    return PointCloud(quantised(points, settings.quantum_m), None, normals, scanners)


def _positions(positions: np.ndarray, name: str) -> np.ndarray:
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 3 or len(positions) == 0:
        raise ValueError(f"{name}: expected positions of shape (P, 3), P at least 1, found {positions.shape}")
    if not np.isfinite(positions).all():
        raise ValueError(f"{name}: expected finite positions, found NaN or infinity")
    return positions


def _check_rays(rays: int) -> None:
    if rays < 1:
        raise ValueError(f"rays: expected at least 1, found {rays}")
