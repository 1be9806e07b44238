"""Score a reconstruction against the true mesh, on the surface that a scanner could see from inside."""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import json
    import logging
    import math
    from pathlib import Path
    from typing import Any

    import numpy as np

    from sparse_convonet.coordinates import up_rotation
    from sparse_convonet.data.stations import find_stations
    from sparse_convonet.io.atomic import atomic_path
    from sparse_convonet.io.meshes import read_mesh
    from sparse_convonet.metrics.seen_surface import SeenSurfaceScores, seen_surface_scores, station_rays
    from sparse_convonet.metrics.sides import WRONG_SIDE_VOXELS, SideShares, side_shares, visible_ranges
    from sparse_convonet.structures import Mesh


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rotation = up_rotation(options.up)
    predicted, truth = (_turned(read_mesh(path), rotation) for path in (options.prediction, options.truth))
    stations = find_stations(
        truth.vertices, truth.faces, options.spacing_m, np.random.default_rng(options.seed), threads=0
    )
    origins, directions = station_rays(stations, options.rays, np.random.default_rng(options.seed))
    scores = seen_surface_scores(
        predicted,
        truth,
        origins,
        directions,
        thresholds_m=[threshold_cm / 100 for threshold_cm in options.threshold_cm],
        max_range_m=options.max_range_m,
    )
    seen, ranges = visible_ranges(truth, origins, directions, options.max_range_m)
    sides = side_shares(predicted, origins[seen], directions[seen], ranges, options.voxel_cm / 100)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prediction", type=Path, help="reconstructed mesh")
    parser.add_argument("truth", type=Path, help="true mesh in the same frame, metres; need not be watertight")
    parser.add_argument("--rays", type=int, default=400_000, help="rays in all; default 400000")
    parser.add_argument(
        "--threshold-cm", type=float, nargs="+", default=[5.0, 2.5, 1.0], metavar="CM",
        help="of precision and recall, one or more; default 5 2.5 1",
    )  # fmt: skip
    parser.add_argument(
        "--voxel-cm", type=float, default=5.0, metavar="CM",
        help="voxel size of the reconstruction, for the rule that a ray ends on the wrong side where it ends more than "
        "0.4 voxels too early; default 5",
    )  # fmt: skip
    parser.add_argument("--max-range-m", type=float, default=20.0, help="reach of the scanner; default 20")
    parser.add_argument("--spacing-m", type=float, default=2.0, help="as given to make_scan.py; default 2")
    parser.add_argument("--up", choices=("x", "y", "z"), default="z", help="the meshes' axis that points up")
    parser.add_argument("--seed", type=int, default=0, help="as given to make_scan.py")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    return parser


if __name__ == "__main__":
    run_tool(main)
