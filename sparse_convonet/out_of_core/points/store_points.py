"""From scan files of any size to the point store that all tasks read: points on disk, clean, described, found by place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.cleaning import NOTHING, Dropped, Sought
from sparse_convonet.clouds.summary import CloudSummary
from sparse_convonet.clouds.units import likely_metres, metres_per_unit
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.ply import write_point_parts
from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.out_of_core.points.build_store import CONTENT, REPEATS, build_store
from sparse_convonet.out_of_core.points.clean_spool import CleanSpool, Kept, clean_spool
from sparse_convonet.out_of_core.points.describe_store import describe_store
from sparse_convonet.out_of_core.points.origin import Stations, origin_of, require_same_origin
from sparse_convonet.out_of_core.points.point_store import PointStore, StoredPoints, place_store
from sparse_convonet.out_of_core.points.spool import CloudSpool, spool_points
from sparse_convonet.out_of_core.points.stored_cells import StoredCells
from sparse_convonet.runtime.atomic import atomic_path, atomic_paths
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.runtime.refusals import reading_work
from sparse_convonet.structures import PointCloud

__all__ = ["PointStore", "StoredPoints", "store_cloud", "store_points"]

_SPOOL, _SUMMARY = "spool", "summary.json"
REMOVED, _SOUGHT = "removed.ply", "sought.json"


def store_points(
    inputs: Sequence[Path],
    folder: Path,
    *,
    up: str | None = None,
    scale: float | None = None,
    seed: int = 0,
    stations: Stations = (),
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
    sought: Sought = NOTHING,
    progress: Progress = untold,
) -> tuple[PointStore, CloudSummary, Dropped, int]:
    """The store of all inputs in `folder`, what they are like, what was dropped, and how many points were read.

    The points, counts, summary and errors are those of read_points, clean_points and describe.  up: None for the axis
    guessed.  scale: metres per unit of the inputs; None: what units.metres_per_unit says of them, which may refuse.
    stations, columns, trajectory: of spool_points.  sought: what is left out besides, ghosts where scanners are known, and
    written to removed.ply in the folder.  progress: called with a stage and the share of it that is done.

    What an earlier run has finished in the folder is not done again: reading, then sorting, then describing.  Only
    the store stays; it does not depend on the up axis and scale, which may be others the next time, unless something was
    sought by the scale.  On the way the disk holds some 100 bytes for each point, in the end 35.
    Raises ValueError where the folder holds the points of other inputs, or something else was left out of them.
    """
    if up is not None:
        up_rotation(up)
    origin = origin_of(inputs, seed, stations, columns, trajectory)
    if (folder / CONTENT).exists():
        require_same_origin(folder, folder / CONTENT, origin)
        _require_same_sought(folder, sought, scale)
    if not (folder / CONTENT).exists() or not (folder / _SUMMARY).exists():
        folder.mkdir(parents=True, exist_ok=True)
        spool = spool_points(
            inputs,
            folder / _SPOOL,
            seed=seed,
            stations=stations,
            columns=columns,
            trajectory=trajectory,
            progress=progress,
        )
        clean = clean_spool(spool, sought=sought, metres_per_unit=likely_metres(scale, spool.unit), progress=progress)
        _save_removed(clean, folder, sought, scale)
        if not (folder / CONTENT).exists():
            build_store(clean, folder, origin, progress=progress)
        _save_summary(folder / _SUMMARY, describe_store(StoredCells.load(folder), clean, progress=progress))
    (folder / REPEATS).unlink(missing_ok=True)  # these served until the summary was there
    shutil.rmtree(folder / _SPOOL, ignore_errors=True)
    with reading_work(folder / CONTENT):
        content = json.loads((folder / CONTENT).read_text(encoding="utf-8"))
        dropped, points_read = Dropped(**content["dropped"]), int(content["points_read"])
    summary = _load_summary(folder / _SUMMARY)
    store = place_store(folder, up or summary.up, metres_per_unit(summary, scale))
    return store, summary, dropped, points_read


def _save_removed(clean: CleanSpool, folder: Path, sought: Sought, scale: float | None) -> None:
    """Ghosts and outliers, and by what they were sought."""
    with atomic_paths([folder / REMOVED, folder / _SOUGHT]) as (removed_path, sought_path):
        count = clean.ghosts + clean.outliers
        write_point_parts(removed_path, count, colours=clean.has_colours, parts=clean.removed_parts())
        effective = replace(sought, ghosts=sought.ghosts and "scanner" in clean.spool.columns)
        sought_path.write_text(json.dumps({"sought": asdict(effective), "scale": scale}), encoding="utf-8")


def _require_same_sought(folder: Path, sought: Sought, scale: float | None) -> None:
    """Ghosts are sought in vain without scanners: then it is the same whether they are."""
    if not (folder / _SOUGHT).exists():
        return
    with reading_work(folder / _SOUGHT):
        found = json.loads((folder / _SOUGHT).read_text(encoding="utf-8"))
        before = Sought(**found["sought"])
    knows_scanners = "scanner" in StoredCells.load(folder).columns
    asked = replace(sought, ghosts=sought.ghosts and knows_scanners)
    if before != asked or (asked != NOTHING and found["scale"] != scale):
        raise ValueError(
            f"{folder}: expected points of a run with the same --scale, --keep-ghosts and --keep-outliers, by which they "
            "were cleaned, found those of another; remove the folder or name one"
        )


def store_cloud(
    cloud: PointCloud,
    folder: Path,
    *,
    up: str,
    scale: float,
    with_scanners: bool = False,
    progress: Progress = untold,
) -> PointStore:
    """The store of a cloud's points, all of them and as they are; up and scale as of store_points.

    with_scanners: and of the positions of their scanners.

    Raises ValueError for points that are not finite, and for fewer than 50.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not np.isfinite(cloud.points).all():
        raise ValueError("points: expected finite coordinates, found NaN or infinite ones; remove them first")
    spool = CloudSpool(cloud, with_scanners=with_scanners)
    low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
    clean = CleanSpool(spool, Kept(), spool.count, low, high, not_finite=0, no_return=0, far=0)
    build_store(clean, folder, {}, keep_repeats=True, progress=progress)
    (folder / REPEATS).unlink()
    return place_store(folder, up, scale)


def _save_summary(path: Path, summary: CloudSummary) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({**asdict(summary), "extent": summary.extent.tolist()}), encoding="utf-8")


def _load_summary(path: Path) -> CloudSummary:
    with reading_work(path):
        found = json.loads(path.read_text(encoding="utf-8"))
        return CloudSummary(**{**found, "extent": np.array(found["extent"])})
