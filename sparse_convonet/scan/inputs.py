"""Read the files of a scan as one cloud in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.units import common_unit
from sparse_convonet.io.points import read_points
from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.out_of_core.points.origin import Stations
from sparse_convonet.structures import LeftOut, PointCloud


def read_inputs(
    inputs: Sequence[Path],
    seed: int,
    stations: Stations,
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
) -> tuple[PointCloud, int]:
    """All files as one cloud, and how many points they have: colours where all files have them, scanners where one has.

    stations: where the scanner of each input stood, whatever the files say; none: what they say.  columns, trajectory,
    errors: as of read_points.
    """
    clouds = [read_points(path, seed=seed, columns=columns, trajectory=trajectory) for path in inputs]
    colours = [cloud.colours for cloud in clouds if cloud.colours is not None]
    if stations:
        pairs = zip(clouds, stations, strict=True)
        clouds = [replace(cloud, scanners=np.broadcast_to(place, cloud.points.shape)) for cloud, place in pairs]
    joined = PointCloud(
        np.concatenate([cloud.points for cloud in clouds]) if len(clouds) > 1 else clouds[0].points,
        np.concatenate(colours) if len(colours) == len(clouds) else None,
        scanners=_joined_scanners(clouds),
        unit=common_unit(cloud.unit for cloud in clouds),
        left_out=sum((cloud.left_out for cloud in clouds), LeftOut()),
    )
    return joined, len(joined) + joined.left_out.total()


def _joined_scanners(clouds: Sequence[PointCloud]) -> np.ndarray | None:
    """(N, 3) of the points of all clouds, NaN for those without; None where no cloud has some."""
    if all(cloud.scanners is None for cloud in clouds):
        return None
    unknown = np.array(np.nan)
    return np.concatenate(
        [np.broadcast_to(unknown if cloud.scanners is None else cloud.scanners, cloud.points.shape) for cloud in clouds]
    )
