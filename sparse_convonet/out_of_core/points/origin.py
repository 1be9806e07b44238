"""What tells whether a folder of work belongs to the inputs of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.runtime.refusals import reading_work

Stations = Sequence[tuple[float, float, float]]  # of scanners, in the frame and units of their scans


def origin_of(
    inputs: Sequence[Path],
    seed: int,
    stations: Stations,
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
) -> dict[str, Any]:
    """What tells whether a folder of work belongs to these inputs: their paths, sizes and times of change."""
    files = [[str(path.resolve()), *_size_and_time(path)] for path in inputs]
    told = {"inputs": files, "seed": seed, "stations": [list(station) for station in stations]}
    if columns is not None:
        told["columns"] = list(columns)
    if trajectory is not None:
        told["trajectory"] = [str(trajectory.path.resolve()), *_size_and_time(trajectory.path)]
    return told


def _size_and_time(path: Path) -> tuple[int, int]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = [file.stat() for file in files if file.exists()]  # a missing file is refused where it is read
    return sum(each.st_size for each in found), max((each.st_mtime_ns for each in found), default=0)


def require_same_origin(folder: Path, content: Path, expected: dict[str, Any]) -> None:
    """Raise ValueError where the work in a folder, of which `content` tells, is of other inputs."""
    with reading_work(content):
        found = json.loads(content.read_text(encoding="utf-8"))["origin"]
    if found != expected:
        names = ", ".join(Path(entry[0]).name for entry in expected["inputs"])
        raise ValueError(
            f"{folder}: expected the points of {names}, found those of other files, of other versions of them or "
            "another --seed, --station, --trajectory or --columns, or of another version of this program; remove the "
            "folder or name one"
        )
