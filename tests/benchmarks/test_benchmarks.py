"""That the benchmarks run and write their tables; what they measure is not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks.ballast import hold
from tests.benchmarks.shells import points_in, room_shell
from tests.benchmarks.tables import column, markdown_table, write_section
from tests.benchmarks.timing import interleaved_seconds
from tests.report.headless_browser import chromium


def _table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in text.splitlines() if line[:1] == "|"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Tiny tasks on several threads of a busy machine mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_quick_engines_and_queries_write_their_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "folder" / "benchmarks.md"
    benchmarks.main(["--quick", "--only", "queries", "engines", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# Benchmarks\n")
    engines, queries = text.split("\n## ")[1:]
    assert engines.startswith("Engines\n") and queries.startswith("Queries\n")
    assert "at commit" in engines and "cores" in engines and "the figures mean nothing" in engines

    head, _, *rows = _table(engines)
    assert head[:4] == ["", "voxels", "native, s", "minkowski, s"] and len(rows) == 9
    assert rows[0][0].startswith("torch.mm: ") and rows[0][0].endswith("GFLOP/s")
    assert all(len(row) == len(head) and float(row[2]) >= 0 for row in rows[1:])
    assert all(row[5].endswith("%") == row[0].startswith("convolution") for row in rows[1:])

    head, _, *rows = _table(queries)
    assert [row[0] for row in rows] == ["ordered", "random"] and len(head) == 8
    assert all(float(cell) > 0 for row in rows for cell in row[3:])


@pytest.mark.usefixtures("one_thread")
def test_quick_other_engines_compute_what_the_native_one_does(tmp_path: Path) -> None:
    benchmarks.main(["--quick", "--only", "other_engines", "--out", str(tmp_path / "engines.md")])
    head, _, *rows = _table((tmp_path / "engines.md").read_text(encoding="utf-8"))
    assert head[:3] == ["engine", "version", "channels"] and {row[2] for row in rows} == {"32", "64"}
    assert {row[0] for row in rows} >= {"native", "gathers"}  # and those that are installed
    assert all(float(row[-2]) < 1e-3 and row[-1] == "0" for row in rows)


@pytest.mark.usefixtures("one_thread")
def test_quick_sides_write_a_row_for_each_surface(tmp_path: Path) -> None:
    benchmarks.main(["--quick", "--only", "sides", "--out", str(tmp_path / "sides.md")])
    head, _, *rows = _table((tmp_path / "sides.md").read_text(encoding="utf-8"))
    assert head == ["model", "scene", "voxels, cm", "surface", "wrong side", "holes", "phantoms"]
    assert [row[:4] for row in rows] == [
        [model, "hall 3x2.5 m", "12", each]
        for model in ("building", "building_wide")
        for each in ("floor", "ceiling", "wall")
    ]
    assert all(cell.endswith("%") for row in rows for cell in row[4:])


def test_quick_rays_are_cast_both_ways(tmp_path: Path) -> None:
    benchmarks.main(["--quick", "--only", "rays", "--out", str(tmp_path / "rays.md")])
    _, _, *rows = _table((tmp_path / "rays.md").read_text(encoding="utf-8"))
    assert [row[0] for row in rows] == ["preparing", "first hits", "all hits", "nearest points"]
    assert all(float(cell) >= 0 for row in rows for cell in row[3:])


@pytest.mark.skipif(chromium() is None, reason="no chromium; apt-get install -y chromium")
def test_quick_page_is_opened_in_a_browser(tmp_path: Path) -> None:
    benchmarks.main(["--quick", "--only", "page", "--out", str(tmp_path / "page.md")])
    _, _, row = _table((tmp_path / "page.md").read_text(encoding="utf-8"))
    assert 1_000 < int(row[0].replace(",", "")) <= 2_000
    assert 0 < float(row[1]) and 0 <= float(row[2]) <= float(row[3]) <= float(row[4])


@pytest.mark.usefixtures("one_thread")
def test_quick_light_mesh_compares_runs_with_it_and_without(tmp_path: Path) -> None:
    benchmarks.main(["--quick", "--only", "light_mesh", "--out", str(tmp_path / "light.md")])
    head, _, *rows = _table((tmp_path / "light.md").read_text(encoding="utf-8"))
    assert head[5] == "CPU, with / without" and len(rows) == 1
    faces, light_faces = (int(cell.replace(",", "")) for cell in rows[0][1:3])
    assert 0 < light_faces < faces / 3
    assert all(float(cell) > 0 for cell in rows[0][3:])


def test_a_section_replaces_its_older_self_and_leaves_the_others(tmp_path: Path) -> None:
    out = tmp_path / "a.md"
    for title, body in (("Second", "2"), ("First", "1\n\n### 1.1"), ("Second", "two")):
        write_section(out, title, body, preface="# Head", order=["First", "Second"])
    assert out.read_text(encoding="utf-8") == "# Head\n\n## First\n\n1\n\n### 1.1\n\n## Second\n\ntwo\n"


def test_a_table_has_a_line_per_row_and_a_dash_for_what_is_missing() -> None:
    @dataclass(frozen=True)
    class Row:
        name: str = column("what")
        seconds: float | None = column("s", "{:.1f}")

    assert markdown_table([Row("a", 0.25), Row("b", None)]) == "| what | s |\n| --- | ---: |\n| a | 0.2 |\n| b | – |"


def test_tasks_take_turns_after_one_call_each() -> None:
    calls: list[str] = []
    interleaved_seconds({name: lambda name=name: calls.append(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert "".join(calls) == "ab" + "ab" * 3


@pytest.mark.parametrize("voxels", [1, 500, 5000])
def test_a_shell_is_two_voxels_thick(voxels: int) -> None:
    shell = room_shell(voxels)
    side = int(shell.max()) + 1
    grid = torch.cartesian_prod(*[torch.arange(side)] * 3)
    expected = grid[torch.minimum(grid, side - 1 - grid).amin(dim=1) < 2]
    assert torch.equal(shell[:, 1:], expected.int()) and not shell[:, 0].any()
    assert len(shell) == max(64, 12 * (side - 2) ** 2 + 16)
    assert torch.equal(torch.floor(points_in(shell, 2)).int()[::2], shell[:, 1:])


def test_an_isolated_call_has_a_peak_memory_of_its_own() -> None:
    kept = hold(300)  # here, and not in the other process
    small, large = (call_isolated(hold, {"megabytes": megabytes}) for megabytes in (1, 200))
    assert kept["bytes"] == 300_000_000 and large.result["bytes"] == 200_000_000
    assert 190e6 < large.peak_bytes - small.peak_bytes < 220e6
    assert large.peak_bytes < 250e6 and large.wall_s > 0


def test_an_isolated_call_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'gigabytes'"):
        call_isolated(hold, {"gigabytes": 1})
