"""Measure the errors of a model on generated buildings and rooms, and write what mesh.expected_error expects of others.

With --check also whether it holds on scans of a mesh that is known and took no part: of each, the errors within which 68 %
and 95 % of the vertices near points are expected and found.
"""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    import argparse
    import logging
    import shlex
    import sys
    from pathlib import Path

    import numpy as np

    from sparse_convonet.commands.parsing import SentenceParser
    from sparse_convonet.config.pretrained import DEFAULT_MODEL
    from sparse_convonet.data.furniture.library import FurnitureLibrary
    from sparse_convonet.evaluation.vertex_error_fit import fit_error_model, left_out_deviation, reliability
    from sparse_convonet.evaluation.vertex_errors import measure_scenes, measure_vertices
    from sparse_convonet.io.meshes import read_mesh
    from sparse_convonet.io.points import read_points
    from sparse_convonet.mesh.expected_error import shipped_error_model
    from sparse_convonet.model.weights import load_model


def main(arguments: list[str] | None = None) -> None:
    parser = SentenceParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default=DEFAULT_MODEL, help="name of a shipped model, or a .safetensors file")
    add("--out", type=Path, help="where to write; default: nowhere, the shipped ones are checked")
    add(
        "--rows", type=Path, default=Path("out/vertex_errors"), help="folder for what was measured; a run goes on there"
    )
    add("--scenes", type=int, default=40, help="generated buildings and rooms, by turns; default 40")
    add("--check", nargs=2, action="append", default=[], metavar=("SCAN", "TRUTH"), help="a scan and its true mesh")
    add("--noise-cm", type=float, nargs="*", default=[], help="of each checked scan, for the table")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    trained = load_model(options.model)
    rows = []
    if options.out is not None:
        library = FurnitureLibrary.load().split("val")  # what the model was trained on, it knows better than others
        for each in measure_scenes(trained, library, range(options.scenes), options.rows):
            rows.append(each)
            print(f"{each.name}: voxels {100 * each.voxel_size_m:g} cm, {each.per_m2:.0f} points per m2, "
                  f"noise {1000 * each.noise_m:.1f} mm", flush=True)  # fmt: skip
        command = shlex.join(["tools/fit_expected_error.py", "--scenes", str(options.scenes)])
        errors = fit_error_model(rows, trained.name, command)
        errors.save(options.out)
        deviations = [100 * each for each in left_out_deviation(rows)]
        print(f"expected of scenes in four groups, each left out of the fit once: {deviations[0]:.1f} % off at 68 %, "
              f"{deviations[1]:.1f} % at 95 %")  # fmt: skip
    else:
        errors = shipped_error_model()
    for number, (scan, truth) in enumerate(options.check):
        noise_m = options.noise_cm[number] / 100 if number < len(options.noise_cm) else float("nan")
        points = read_points(Path(scan)).points
        rows.append(measure_vertices(Path(scan).stem, trained, points, read_mesh(Path(truth)), None, noise_m,
                                     np.random.default_rng(0)))  # fmt: skip
    print(
        f"{'':<24}{'voxel':>7}{'noise':>9}{'per m2':>8}{'seen':>6}{'68 %: expected, found':>24}{'95 %':>18}{'within':>13}"
    )
    for each in rows:
        row = reliability(errors, each)
        print(f"{row.name:<24}{100 * row.voxel_size_m:>4.0f} cm{1000 * row.noise_m:>6.1f} mm{row.per_m2:>8.0f}"
              f"{100 * row.observed:>4.0f} %{1000 * row.expected_68_m:>11.1f}, {1000 * row.measured_68_m:>5.1f} mm"
              f"{1000 * row.expected_95_m:>9.1f}, {1000 * row.measured_95_m:>5.1f} mm"
              f"{100 * row.share_68:>5.0f}, {100 * row.share_95:.0f} %")  # fmt: skip
    sys.stdout.flush()


if __name__ == "__main__":
    run_tool(main)
