"""Score a reconstruction against the true mesh, on the surface that a scanner could see from inside."""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import dataclasses
    import json
    import logging
    import math
    from pathlib import Path

    import numpy as np

    from sparse_convonet.coordinates import up_rotation
    from sparse_convonet.data.stations import find_stations
    from sparse_convonet.io.atomic import atomic_path
    from sparse_convonet.io.meshes import read_mesh
    from sparse_convonet.metrics.seen_surface import SeenSurfaceScores, seen_surface_scores, station_rays
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
        threshold_m=options.threshold_cm / 100,
        max_range_m=options.max_range_m,
    )
    print(_table(scores, len(stations)))
    if options.json:
        record = dataclasses.asdict(scores) | {"chamfer_m": scores.chamfer_m, "f_score": scores.f_score}
        # JSON has no infinity: where nothing could be measured stands null.
        finite = {key: value if math.isfinite(value) else None for key, value in record.items()}
        with atomic_path(options.json) as path:
            Path(path).write_text(json.dumps(finite, indent=2) + "\n", encoding="utf-8")


def _turned(mesh: Mesh, rotation: np.ndarray) -> Mesh:
    return Mesh(mesh.vertices @ rotation.T, mesh.faces)


def _table(scores: SeenSurfaceScores, stations: int) -> str:
    threshold = f"{scores.threshold_m * 100:g} cm"
    rows = [
        ("rays that meet the truth", f"{scores.rays}", f"from {stations} stations"),
        ("accuracy", f"{scores.accuracy_m * 100:.2f} cm", "mean distance prediction -> truth"),
        ("completeness", f"{scores.completeness_m * 100:.2f} cm", "mean distance truth -> prediction"),
        ("Chamfer-L1", f"{scores.chamfer_m * 100:.2f} cm", "mean of both"),
        ("precision", f"{scores.precision:.4f}", f"prediction within {threshold} of the truth"),
        ("recall", f"{scores.recall:.4f}", f"truth within {threshold} of the prediction"),
        ("F-score", f"{scores.f_score:.4f}", f"at {threshold}"),
        ("normal consistency", f"{scores.normal_consistency:.4f}", "mean |cosine| of nearest normals"),
        ("holes", f"{scores.hole_share * 100:.2f} %", "rays that go more than 20 cm too far"),
    ]
    return "\n".join(f"{name:<25} {value:>12}   {remark}" for name, value, remark in rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prediction", type=Path, help="reconstructed mesh")
    parser.add_argument("truth", type=Path, help="true mesh in the same frame, metres; need not be watertight")
    parser.add_argument("--rays", type=int, default=400_000, help="rays in all; default 400000")
    parser.add_argument("--threshold-cm", type=float, default=5.0, help="of precision and recall; default 5")
    parser.add_argument("--max-range-m", type=float, default=20.0, help="reach of the scanner; default 20")
    parser.add_argument("--spacing-m", type=float, default=2.0, help="as given to make_scan.py; default 2")
    parser.add_argument("--up", choices=("x", "y", "z"), default="z", help="the meshes' axis that points up")
    parser.add_argument("--seed", type=int, default=0, help="as given to make_scan.py")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    return parser


if __name__ == "__main__":
    run_tool(main)
