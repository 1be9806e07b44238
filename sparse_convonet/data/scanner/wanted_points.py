"""Virtual scans with exactly as many points as were asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from sparse_convonet.structures import PointCloud

_SPARE = 1.05  # rays beyond what the last scan says are needed
_LEAST_RETURN = 50


def scan_wanted(
    cast: Callable[[int], PointCloud], points: int, places: int, rng: np.random.Generator, what: str
) -> PointCloud:
    """So many points, by casting more rays until that many come back and leaving out some by chance.

    cast: a scan with about that many rays, from so many `places`.  what: is scanned, for the message.  Raises ValueError
    where hardly a ray comes back.
    """
    rays, cloud = points, cast(points)
    while len(cloud) < points:
        if len(cloud) * _LEAST_RETURN < points:
            raise ValueError(
                f"{what}: expected that at least 1 of {_LEAST_RETURN} rays comes back, found {len(cloud)} of "
                f"{rays}; check --up and --max-range-m, and that the mesh is in metres"
            )
        rays = int(rays * _SPARE * points / len(cloud)) + places
        cloud = cast(rays)
    if len(cloud) > points:
        cloud = cloud.select(np.sort(rng.choice(len(cloud), points, replace=False)))
    return cloud


def scan_of_walks(
    scanner: VirtualScanner,
    walks: Sequence[np.ndarray],
    rays: int,
    settings: ScannerSettings,
    rng: np.random.Generator,
) -> PointCloud:
    """Walks (P, 3) each in one cloud, with the rays in proportion to their lengths; a single place counts as one metre."""
    lengths = np.array([np.linalg.norm(np.diff(walk, axis=0), axis=1).sum() for walk in walks])
    shares = np.maximum(lengths, 1.0) / np.maximum(lengths, 1.0).sum()
    parts = [
        scanner.scan_path(path, max(1, int(rays * share)), settings, rng)
        for path, share in zip(walks, shares, strict=True)
    ]
    normals = [part.normals for part in parts if part.normals is not None]
    scanners = [part.scanners for part in parts if part.scanners is not None]
    return PointCloud(
        np.concatenate([part.points for part in parts]),
        normals=np.concatenate(normals),
        scanners=np.concatenate(scanners),
    )
