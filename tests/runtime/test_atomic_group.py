"""A set of files that grows while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_convonet.runtime.atomic import atomic_group


def test_files_added_meanwhile_appear_with_the_others_and_before_the_last(
    tmp_path: Path,
) -> None:
    with atomic_group([tmp_path / "mesh.ply", tmp_path / "report.json"]) as group:
        added = group.add(tmp_path / "plan.svg")
        for temporary in (*group.temporaries,):
            temporary.write_text("new")
        assert added.suffix == ".svg" and not list(tmp_path.glob("[!.]*"))
    assert [path.name for path in group.paths] == ["mesh.ply", "plan.svg", "report.json"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("mesh.ply", "plan.svg", "report.json"), "new"
    )


def test_none_appears_where_an_added_file_fails(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    with (
        pytest.raises(ValueError, match="half way"),
        atomic_group([tmp_path / "a.ply", tmp_path / "report.json"]) as group,
    ):
        group.add(tmp_path / "plan.svg").write_text("new")
        raise ValueError("half way")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json").read_text() == "old"
