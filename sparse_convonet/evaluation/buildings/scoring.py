"""Scores of meshes of the benchmark of buildings, in metres, on what a scanner could see and on what it could not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.evaluation.buildings.known_scores import KnownScores
from sparse_convonet.evaluation.buildings.protocol import HIDDEN_FILE, STATIONS_FILE, TRUTH_FILE, BuildingScan
from sparse_convonet.evaluation.buildings.running import cost_of
from sparse_convonet.evaluation.predictors import empty_mesh
from sparse_convonet.io.meshes import READ_SUFFIXES, read_mesh
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.seen_surface import seen_surface_and_sides, station_rays
from sparse_convonet.structures import Mesh

THRESHOLDS_M = (0.01, 0.025, 0.05, 0.10)
SIDE_VOXEL_M = 0.05  # one rule for all methods: 0.4 of it too early is the wrong side
HIDDEN_WITHIN_M = 0.05
_RAYS = 200_000


@dataclass(frozen=True)
class ScoredScan:
    """values: by column, None where there is nothing to score.  failure: why there is no mesh, or ""."""

    scan: BuildingScan
    values: dict[str, float | None]
    failure: str = ""


def score_folder(
    data: Path,
    scans: Sequence[BuildingScan],
    meshes: Path,
    tell: Callable[[str], None],
    known: KnownScores | None = None,
) -> list[ScoredScan]:
    """Meshes <meshes>/<building>/<scan>.ply (or another format); a scan without one, or with one that cannot be read,
    counts as a mesh without faces.  tell: is called once for each scan, with what is wrong, or "".
    known: where scores of before are, and new ones are written to.

    Raises FileNotFoundError where there is no mesh at all.
    """
    paths = {scan: _mesh_path(meshes, scan) for scan in scans}
    if not any(paths.values()) and not any("failure" in cost_of(meshes, scan) for scan in scans):
        raise FileNotFoundError(
            f"{meshes}: expected meshes such as {scans[0].building}/{scans[0].name}.ply, found none of {len(scans)}"
        )
    rows = []
    for scan in scans:
        cost = cost_of(meshes, scan)
        path = paths[scan]
        mesh, failure = empty_mesh(), "" if path is not None else str(cost.get("failure", "no mesh"))
        if path is not None:
            try:
                mesh = require_finite(path, read_mesh(path))
            except ValueError as error:
                failure = str(error)
        tell(failure)
        building = data / scan.building
        score = partial(scores_of, building, mesh)
        scores = score() if known is None else known.of(f"{scan.building}/{scan.name}", path, building, score)
        rows.append(ScoredScan(scan, {**scores, **_costs(cost, mesh)}, failure))
    return rows


def require_finite(path: Path, mesh: Mesh) -> Mesh:
    """The mesh.  Raises ValueError where some of its vertices have no place."""
    broken = int((~np.isfinite(mesh.vertices)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"{path}: expected finite vertices, found {broken} of {len(mesh.vertices)} without; clean the mesh first"
        )
    return mesh


def scores_of(building: Path, mesh: Mesh) -> dict[str, float | None]:
    """Of a mesh (metres, z up, the frame of the truth) against one building of the set; names say the units."""
    truth = read_mesh(building / TRUTH_FILE)
    stations = np.load(building / STATIONS_FILE, allow_pickle=False)
    origins, directions = station_rays(stations, _RAYS, np.random.default_rng(0))
    found, sides = seen_surface_and_sides(
        mesh, truth, origins, directions, thresholds_m=THRESHOLDS_M, voxel_size_m=SIDE_VOXEL_M
    )
    lengths = {"accuracy cm": found.accuracy_m, "completeness cm": found.completeness_m}
    return {
        **{name: 100 * length if math.isfinite(length) else None for name, length in lengths.items()},
        **{f"F {100 * each.threshold_m:g} cm": each.f_score for each in found.at},
        "normal c.": found.normal_consistency,
        "wrong side %": 100 * sides.wrong_side,
        "holes %": 100 * sides.holes,
        "phantoms %": 100 * sides.phantoms,
        "hidden found %": _hidden_found(building / HIDDEN_FILE, mesh),
    }


def _hidden_found(path: Path, mesh: Mesh) -> float | None:
    """Percent of the true surface that no station sees but that has a mesh within 5 cm; None where it is not known."""
    if not path.is_file():
        return None
    hidden = np.load(path, allow_pickle=False).astype(np.float64)
    if len(hidden) == 0:
        return None
    if len(mesh.faces) == 0:
        return 0.0
    distances, _ = TriangleScene(mesh.vertices, mesh.faces).nearest(hidden)
    return 100 * float((distances <= HIDDEN_WITHIN_M).mean())


def _costs(cost: dict[str, Any], mesh: Mesh) -> dict[str, float | None]:
    peak = cost.get("peak_bytes")
    return {
        "seconds": cost.get("seconds"),
        "memory GB": None if peak is None else peak / 1e9,
        "faces": float(len(mesh.faces)),
    }


def _mesh_path(meshes: Path, scan: BuildingScan) -> Path | None:
    found = [meshes / scan.building / f"{scan.name}{suffix}" for suffix in READ_SUFFIXES]
    return next((path for path in found if path.is_file()), None)
