"""Stage out_of_core: where the rays of the scanners first meet a mesh in tiles; see metrics.sides."""

from __future__ import annotations

import numpy as np

from sparse_convonet.metrics.sides import ScanRays, in_ray_sample
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource


def sampled_rays(points: PointSource, voxel_size_m: float) -> ScanRays:
    """To a sample of the points, in the frame of the points; none where no scanner is known."""
    places, positions = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for part in points.parts() if points.has_scanners else ():
        assert part.scanners_world is not None
        chosen = in_ray_sample(part.points_world, points.count)
        places.append(part.points_world[chosen])
        positions.append(part.scanners_world[chosen])
    return ScanRays(np.concatenate(places), np.concatenate(positions), voxel_size_m)
