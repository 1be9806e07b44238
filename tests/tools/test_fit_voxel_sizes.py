"""The tool that measures errors and fits the law: a quick run, a second one that goes on, and other weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.plan.error_law import ErrorLaw
from tests.tools.running import load_tool, refusal


def test_a_quick_run_writes_law_and_rows_and_a_second_one_measures_nothing_again(tmp_path: Path) -> None:
    tool = load_tool("fit_voxel_sizes")
    paths = [tmp_path / name for name in ("rows.jsonl", "law.json")]
    arguments = ["--quick", "--rows", str(paths[0]), "--out", str(paths[1])]
    tool.main(arguments)
    first = [path.read_text(encoding="utf-8") for path in paths]
    head, *rows = map(json.loads, first[0].splitlines())
    assert head["model"] == DEFAULT_MODEL and len(head["weights"]) == 12
    assert sorted((row["per_m2"], row["voxel_size_m"]) for row in rows) == [
        (100, 0.06), (100, 0.12), (1000, 0.06), (1000, 0.12)
    ]  # fmt: skip
    dense = {row["voxel_size_m"]: row for row in rows if row["per_m2"] == 1000}
    assert 0.001 < dense[0.06]["mean_m"] < 0.015 and dense[0.06]["holes"] < 0.05 and dense[0.06]["rays"] > 300
    assert all(row["to_mesh_m"] == sorted(row["to_mesh_m"]) for row in rows)
    law = ErrorLaw.load(paths[1])
    assert law.rows == 4 and law.model == f"{DEFAULT_MODEL} ({head['weights']})"
    assert law.command == "python tools/fit_voxel_sizes.py"
    tool.main([*arguments, "--minutes", "0"])
    assert [path.read_text(encoding="utf-8") for path in paths] == first


def test_rows_of_other_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.jsonl").write_text(f'{{"model": "{DEFAULT_MODEL}", "weights": "0"}}\n', encoding="utf-8")
    said = refusal(
        capsys, "fit_voxel_sizes", "--quick", "--rows", tmp_path / "rows.jsonl", "--out", tmp_path / "law.json"
    )
    assert f"expected rows of {{'model': '{DEFAULT_MODEL}'" in said and "name another file with --rows" in said
