"""Scores of the benchmark of buildings: of the truth, of what is wrong in known ways, and of meshes that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.evaluation.buildings.known_scores import KnownScores
from sparse_convonet.evaluation.buildings.methods import KINDS, BuildingMethod
from sparse_convonet.evaluation.buildings.running import cost_of, make_meshes
from sparse_convonet.evaluation.buildings.scoring import score_folder, scores_of
from sparse_convonet.evaluation.buildings.tables import markdown, mean_values, write_tables
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.structures import Mesh
from tests.data.scanner.box_scenes import box_mesh
from tests.evaluation.buildings.small_sets import ROOM, room_set
from tests.tools.running import exit_code, refusal


def _room(low: float, high: float) -> Mesh:
    """With the floor and the ceiling so much higher."""
    return Mesh(*box_mesh((0.0, 0.0, low), (ROOM[0], ROOM[1], ROOM[2] + high)))


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return room_set(tmp_path, monkeypatch)[0]


def test_the_truth_is_perfect_and_nothing_is_all_hole(room: Path) -> None:
    truth = scores_of(room / "room", _room(0, 0))
    assert truth["F 1 cm"] == truth["F 10 cm"] == 1 and truth["hidden found %"] is None
    assert [truth[name] for name in ("wrong side %", "holes %", "phantoms %")] == [0, 0, 0]
    assert truth["accuracy cm"] == pytest.approx(0, abs=1e-3) and truth["normal c."] == pytest.approx(1, abs=1e-3)
    nothing = scores_of(room / "room", Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)))
    assert nothing["F 10 cm"] == 0 and nothing["holes %"] == 100 and nothing["accuracy cm"] is None


def test_a_raised_floor_is_on_the_wrong_side_and_a_raised_ceiling_is_not(room: Path) -> None:
    floor, ceiling = (scores_of(room / "room", _room(*raised)) for raised in ((0.04, 0.0), (0.0, 0.04)))
    for found in (floor, ceiling):
        assert found["F 1 cm"] is not None and found["F 5 cm"] is not None
        assert found["F 1 cm"] < 0.95 < 0.999 < found["F 5 cm"]
    assert floor["wrong side %"] is not None and floor["wrong side %"] > 10
    assert ceiling["wrong side %"] == pytest.approx(0, abs=0.1)
    deep = scores_of(room / "room", _room(-0.15, 0.0))
    assert deep["holes %"] is not None and deep["holes %"] > 10 and deep["wrong side %"] == pytest.approx(0, abs=0.1)


def test_what_no_station_sees_is_found_within_five_centimetres(room: Path) -> None:
    hidden = np.array([[1.0, 1.0, -0.04], [1.0, 1.0, -0.06], [2.0, 2.0, 0.0], [3.0, 1.0, 1.3]], dtype=np.float32)
    np.save(room / "room" / "hidden.npy", hidden)
    assert scores_of(room / "room", _room(0, 0))["hidden found %"] == 50


def test_a_folder_of_meshes_is_scored_scan_by_scan(room: Path, tmp_path: Path) -> None:
    scans = room_scans(room)
    folder = tmp_path / "mine"
    (folder / "room").mkdir(parents=True)
    write_mesh(folder / "room" / f"{scans[0].name}.ply", _room(0, 0))
    write_mesh(folder / "room" / f"{scans[1].name}.obj", _room(0.04, 0))
    found = score_folder(room, scans, folder, lambda _: None)
    assert [row.values["F 1 cm"] == 1 for row in found] == [True, False, False]
    assert [row.failure for row in found] == ["", "", "no mesh"] and found[2].values["holes %"] == 100
    assert found[0].values["faces"] == 12 and found[0].values["seconds"] is None
    mean = mean_values(found)["F 1 cm"]
    assert mean == pytest.approx((1 + (found[1].values["F 1 cm"] or 0)) / 3)
    table = markdown({"mine": found}).splitlines()
    assert table[2].startswith("| mine | 3 | 1 | ") and f"| {mean:.3f} |" in table[2] and "seconds" not in table[0]
    by_density = table[table.index("| F 1 cm, by points per m2 | 50 | 100 | 200 |") + 2]
    assert by_density == f"| mine | 1.000 | {found[1].values['F 1 cm']:.3f} | 0.000 |"
    write_tables(tmp_path, {"mine": found})
    assert (tmp_path / "buildings.csv").read_text(encoding="utf-8").count("\n") == 4
    with pytest.raises(FileNotFoundError, match=f"expected meshes such as room/{scans[0].name}.ply, found none of 3"):
        score_folder(room, scans, tmp_path / "nowhere", lambda _: None)


def test_a_mesh_is_scored_once_and_again_where_it_or_the_truth_changed(room: Path, tmp_path: Path) -> None:
    scans = room_scans(room)[:1]
    mesh = tmp_path / "mine" / "room" / f"{scans[0].name}.ply"
    mesh.parent.mkdir(parents=True)
    known = KnownScores(tmp_path / "scores")

    def floor_is_wrong() -> bool:
        return (score_folder(room, scans, tmp_path / "mine", lambda _: None, known)[0].values["wrong side %"] or 0) > 10

    write_mesh(mesh, _room(0, 0))
    assert not floor_is_wrong()
    file = tmp_path / "scores" / "room" / f"{scans[0].name}.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    told["scores"]["wrong side %"] = 50.0
    file.write_text(json.dumps(told), encoding="utf-8")
    assert floor_is_wrong()  # what is written is taken
    write_mesh(mesh, _room(0.001, 0))
    assert not floor_is_wrong()
    write_mesh(room / "room" / "truth.ply", _room(-0.04, 0))
    assert floor_is_wrong()
    file.write_text("[1", encoding="utf-8")
    assert floor_is_wrong() and json.loads(file.read_text(encoding="utf-8"))["scores"]["wrong side %"] > 10


def room_scans(room: Path) -> list:  # type: ignore[type-arg]
    from sparse_convonet.evaluation.buildings.protocol import BuildingSet

    return list(BuildingSet.load(room).scans)


def test_a_mesh_that_cannot_be_read_counts_as_none_and_is_told(room: Path, tmp_path: Path) -> None:
    scans = room_scans(room)
    (tmp_path / "mine" / "room").mkdir(parents=True)
    paths = [tmp_path / "mine" / "room" / f"{scan.name}.ply" for scan in scans]
    write_mesh(paths[0], _room(0, 0))
    write_mesh(paths[1], Mesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]])))
    paths[2].write_bytes(paths[0].read_bytes()[:200])
    told: list[str] = []
    found = score_folder(room, scans, tmp_path / "mine", told.append)
    assert told == [row.failure for row in found] and told[0] == ""
    assert "expected finite vertices, found 3 of 3" in told[1] and all(str(paths[n]) in told[n] for n in (1, 2))
    assert [row.values["holes %"] for row in found] == [0, 100, 100]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("magic", "expected some of sparse, sparse_5cm"),
        ("poisson_true=x.safetensors", "poisson_true takes no model"),
        ("dense_window", "dense_window needs a model, found none"),
        ("sparse=none", "expected a .safetensors file or one of building_wide"),
    ],
    ids=["unknown", "model_of_none", "no_model", "unknown_model"],
)
def test_methods_that_cannot_be_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BuildingMethod.parse(text)


def test_names_of_methods_say_their_model() -> None:
    assert BuildingMethod.parse("sparse").label == "sparse"
    assert BuildingMethod.parse("sparse=building").label == "sparse_building"
    assert {name for name in KINDS if KINDS[name].model == ""} == {
        f"{how}_{normals}" for how in ("poisson", "trimmed") for normals in ("true", "scanner", "estimated")
    }


@pytest.mark.slow
def test_methods_make_meshes_that_are_scored_and_not_made_again(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    given = ("--methods", "poisson_scanner", "sparse_5cm", "--data", room, "--out", out)
    assert exit_code("evaluate_buildings", *given) == 0
    table = capsys.readouterr().out.splitlines()
    header = [cell.strip() for cell in table[0].split("|")]
    for line, least in ((table[2], 0.75), (table[3], 0.95)):
        cells = dict(zip(header, (cell.strip() for cell in line.split("|")), strict=True))
        assert cells["scans"] == "3" and cells["no mesh"] == "" and float(cells["F 5 cm"]) > least
        assert float(cells["memory GB"]) > 0.1 and float(cells["seconds"]) > 0
    meshes = sorted((out / "meshes").rglob("*.ply"))
    assert len(meshes) == 6
    before = [path.stat().st_mtime_ns for path in meshes]
    assert exit_code("evaluate_buildings", *given) == 0
    assert [path.stat().st_mtime_ns for path in meshes] == before
    mesh = read_mesh(meshes[0])
    assert np.abs(mesh.vertices.mean(axis=0) - np.array(ROOM) / 2).max() < 0.8


def test_a_method_that_fails_is_told_and_the_next_scan_goes_on(room: Path, tmp_path: Path) -> None:
    scans = room_scans(room)[:2]
    make_meshes(
        BuildingMethod.parse("poisson_true"), room, scans, tmp_path, memory_bytes=1, seconds=None, tell=lambda _: None
    )
    assert [cost_of(tmp_path, scan)["failure"] for scan in scans] == ["not in the memory it was allowed"] * 2
    found = score_folder(room, scans, tmp_path, lambda _: None)
    assert found[0].failure == "not in the memory it was allowed" and found[0].values["F 10 cm"] == 0
    with pytest.raises(ValueError, match="holds meshes of another method or other weights"):
        make_meshes(
            BuildingMethod.parse("trimmed_true"), room, scans, tmp_path,
            memory_bytes=None, seconds=None, tell=lambda _: None,
        )  # fmt: skip


def test_what_cannot_be_scored_is_refused(room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "scores")
    said = refusal(capsys, "evaluate_buildings", tmp_path / "mine", "--data", tmp_path / "none", *out)
    assert "expected a set of buildings, found none" in said
    said = refusal(capsys, "evaluate_buildings", "--data", room, *out)
    assert "expected folders of meshes or --methods" in said
    said = refusal(capsys, "evaluate_buildings", tmp_path / "mine", "--data", room, "--buildings", "castle", *out)
    assert "expected some of room, found 'castle'" in said
    said = refusal(capsys, "evaluate_buildings", tmp_path / "a" / "x", tmp_path / "b" / "x", "--data", room, *out)
    assert "expected different names" in said
    (room / room_scans(room)[1].file).unlink()
    said = refusal(capsys, "evaluate_buildings", tmp_path / "mine", "--data", room, *out)
    assert "expected all scans" in said and "are missing" in said
    (room / "buildings.json").write_text("{}", encoding="utf-8")
    said = refusal(capsys, "evaluate_buildings", tmp_path / "mine", "--data", room, *out)
    assert "expected what sparse-convonet data buildings writes" in said
