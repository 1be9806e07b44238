"""What `sparse-convonet score` does, once its options are read."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.scanner.stations import find_stations
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.metrics.seen_surface import SeenSurfaceScores, seen_surface_and_sides, station_rays
from sparse_convonet.metrics.sides import WRONG_SIDE_VOXELS, SideShares
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh


def score_mesh(options: argparse.Namespace) -> None:
    """The table on stdout, and the same as JSON where that is asked for."""
    rotation = up_rotation(options.up)
    predicted, truth = (_turned(read_mesh(path), rotation) for path in (options.prediction, options.truth))
    stations = find_stations(
        truth.vertices, truth.faces, options.spacing_m, np.random.default_rng(options.seed), threads=0
    )
    origins, directions = station_rays(stations, options.rays, np.random.default_rng(options.seed))
    scores, sides = seen_surface_and_sides(
        predicted,
        truth,
        origins,
        directions,
        thresholds_m=[threshold_cm / 100 for threshold_cm in options.threshold_cm],
        voxel_size_m=options.voxel_cm / 100,
        max_range_m=options.max_range_m,
    )
    print(_table(scores, sides, options.voxel_cm, len(stations)))
    if options.json:
        record = _record(scores, sides, options.voxel_cm / 100)
        with atomic_path(options.json) as path:
            Path(path).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _turned(mesh: Mesh, rotation: np.ndarray) -> Mesh:
    return Mesh(mesh.vertices @ rotation.T, mesh.faces)


def _record(scores: SeenSurfaceScores, sides: SideShares, voxel_size_m: float) -> dict[str, Any]:
    """The scores for JSON, which has no infinity: where nothing could be measured stands null.

    precision, recall, f_score and threshold_m are those of the first threshold; `thresholds` has all of them.
    """
    lengths = {
        "accuracy_m": scores.accuracy_m,
        "completeness_m": scores.completeness_m,
        "chamfer_m": scores.chamfer_m,
    }
    thresholds = [
        {"threshold_m": each.threshold_m, "precision": each.precision, "recall": each.recall, "f_score": each.f_score}
        for each in scores.at
    ]
    return {
        **{key: value if math.isfinite(value) else None for key, value in lengths.items()},
        **thresholds[0],
        "normal_consistency": scores.normal_consistency,
        "hole_share": scores.hole_share,
        "rays": scores.rays,
        "thresholds": thresholds,
        "sides": {
            "voxel_size_m": voxel_size_m,
            "wrong_side": sides.wrong_side,
            "holes": sides.holes,
            "phantoms": sides.phantoms,
        },
    }


def _table(scores: SeenSurfaceScores, sides: SideShares, voxel_cm: float, stations: int) -> str:
    at_thresholds = []
    for each in scores.at:
        threshold = f"{each.threshold_m * 100:g} cm"
        at_thresholds += [
            ("precision", f"{each.precision:.4f}", f"prediction within {threshold} of the truth"),
            ("recall", f"{each.recall:.4f}", f"truth within {threshold} of the prediction"),
            ("F-score", f"{each.f_score:.4f}", f"at {threshold}"),
        ]
    early = f"{WRONG_SIDE_VOXELS:g} voxels of {voxel_cm:g} cm"
    rows = [
        ("rays that meet the truth", f"{scores.rays}", f"from {stations} stations"),
        ("accuracy", f"{scores.accuracy_m * 100:.2f} cm", "mean distance prediction -> truth"),
        ("completeness", f"{scores.completeness_m * 100:.2f} cm", "mean distance truth -> prediction"),
        ("Chamfer-L1", f"{scores.chamfer_m * 100:.2f} cm", "mean of both"),
        *at_thresholds,
        ("normal consistency", f"{scores.normal_consistency:.4f}", "mean |cosine| of nearest normals"),
        ("holes", f"{scores.hole_share * 100:.2f} %", "rays that go more than 20 cm too far"),
        ("holes, 10 cm", f"{sides.holes * 100:.2f} %", "rays that go more than 10 cm too far"),
        ("wrong side", f"{sides.wrong_side * 100:.2f} %", f"rays that end more than {early} too early"),
        ("phantoms", f"{sides.phantoms * 100:.2f} %", "rays that end more than 20 cm too early"),
    ]
    return "\n".join(f"{name:<25} {value:>12}   {remark}" for name, value, remark in rows)
