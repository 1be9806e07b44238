"""Models made from scans: whole or not at all, the same whatever else is made with them, on the published lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.layout import find_models, read_metadata, read_split
from sparse_convonet.data.convonet.samples import SurfaceSamples
from sparse_convonet.data.sets import prepared
from sparse_convonet.data.sets.official_splits import OfficialSplits, find_splits, named_splits
from sparse_convonet.data.sets.prepared import Outcome, prepare_models
from sparse_convonet.data.sets.scan_surface import Drawing, Surface, draw_surface
from sparse_convonet.data.sets.scannet import (
    CATEGORY,
    LISTS,
    TITLE,
    find_scenes,
    scene_models,
)
from sparse_convonet.structures import Mesh, PointCloud
from tests.data.format_true_folders import box_mesh, write_scannet_scene


def prepare(
    root: Path, scans: Path, drawing: Drawing = Drawing(500), lists: OfficialSplits | None = None, **options
) -> Outcome:  # type: ignore[no-untyped-def]
    names = options.pop("names", None) or find_scenes(scans)
    models = scene_models(scans, names, lists or OfficialSplits((), {}), drawing, "vh_clean_2")
    return prepare_models(root, CATEGORY, TITLE, models, **options)


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(3):
        write_scannet_scene(
            tmp_path / "scans", f"scene000{number}_00", box_mesh([0, 0, 0], [5 + number, 4, 3]), np.eye(4)
        )
    return tmp_path / "scans"


@pytest.mark.parametrize(
    ("corners", "expected"), [([7, 7, 3], 7), ([7, 3, 7], 7), ([3, 7, 7], 7), ([1, 2, 3], 1), ([0, 5, 5], 5)]
)
def test_two_of_three_corners_decide(corners: list[int], expected: int, rng: np.random.Generator) -> None:
    mesh = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    samples = draw_surface(Surface(mesh, np.array(corners)), UnitFrame(np.zeros(3), 1.0), 4, rng)
    assert samples.semantics is not None and samples.semantics.tolist() == [expected] * 4


def test_files_differ_and_depend_on_the_seed_and_the_name_alone(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "all", scans, Drawing(300, files=2))
    prepare(tmp_path / "one", scans, Drawing(300, files=2), names=["scene0001_00"])
    prepare(tmp_path / "other", scans, Drawing(300, files=2, seed=1), names=["scene0001_00"])
    name = "scenes/scene0001_00/pointcloud/pointcloud_{}.npz"
    found = digest(tmp_path)
    assert found["all/" + name.format("00")] == found["one/" + name.format("00")]
    assert len({found[f"{run}/" + name.format(file)] for run in ("one", "other") for file in ("00", "01")}) == 4


def test_points_of_a_cloud_are_taken_at_most_once(rng: np.random.Generator) -> None:
    points = rng.random((50, 3))
    normals = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    frame = UnitFrame(np.zeros(3), 1.0)

    def rows(samples: SurfaceSamples) -> set[tuple[float, ...]]:
        return {tuple(row) for row in np.round(frame.to_world(samples.points_unit), 12)}

    whole = draw_surface(Surface(PointCloud(points, None, normals)), frame, 80, rng)
    some = draw_surface(Surface(PointCloud(points, None, normals)), frame, 20, rng)
    assert len(whole) == len(rows(whole)) == 50 and len(some) == len(rows(some)) == 20 and rows(some) < rows(whole)
    assert some.normals is not None
    directions = frame.to_world(some.normals)
    assert np.allclose(np.cross(directions, frame.to_world(some.points_unit)), 0, atol=1e-6)


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "whole", scans)
    write_frame, calls = prepared.write_frame, []

    def stop_at_second(folder: Path, frame: UnitFrame) -> None:
        calls.append(folder)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write_frame(folder, frame)

    monkeypatch.setattr(prepared, "write_frame", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "out", scans)
    assert [path.name for path in (tmp_path / "out" / "scenes").iterdir()] == ["scene0000_00"]
    leftover = tmp_path / "out" / "scenes" / ".scene0001_00.12345678.partial"  # what a killed run leaves
    leftover.mkdir()
    (leftover / "pointcloud.npz").write_bytes(b"half")
    (tmp_path / "out" / "scenes" / "scene0000_00" / "frame.json").unlink()  # no longer complete: made again
    outcome = prepare(tmp_path / "out", scans)
    assert (outcome.written, outcome.kept) == (3, 0)
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")
    outcome = prepare(tmp_path / "out", scans)
    assert (outcome.written, outcome.kept) == (0, 3) and digest(tmp_path / "out") == digest(tmp_path / "whole")


def test_other_settings_need_overwrite_which_replaces_everything(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "out", scans, Drawing(100, files=2))
    with pytest.raises(ValueError, match=r"scene0000_00: was made with other settings \(points, files\); repeat those"):
        prepare(tmp_path / "out", scans, Drawing(200))
    prepare(tmp_path / "out", scans, Drawing(200), overwrite=True)
    prepare(tmp_path / "new", scans, Drawing(200))
    assert digest(tmp_path / "out") == digest(tmp_path / "new")


def test_a_folder_of_someone_else_is_left_alone_even_with_overwrite(tmp_path: Path, scans: Path) -> None:
    theirs = tmp_path / "out" / "scenes" / "scene0002_00"
    theirs.mkdir(parents=True)
    (theirs / "pointcloud.npz").write_bytes(b"published")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"exists and was not made here \(no source.json\)"):
            prepare(tmp_path / "out", scans, overwrite=overwrite)
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.npz")] == [
        "scenes/scene0002_00/pointcloud.npz"
    ]


def test_official_lists_beside_the_scans_become_the_splits(tmp_path: Path, scans: Path) -> None:
    (tmp_path / LISTS.format("train")).write_text("scene0000_00\nscene0999_00\n")
    (tmp_path / LISTS.format("val")).write_text("scene0002_00\n")
    outcome = prepare(tmp_path / "out", scans, lists=find_splits(LISTS, (scans, tmp_path)))
    folder = tmp_path / "out" / "scenes"
    assert [read_split(folder / f"{split}.lst") for split in ("train", "val", "test")] == [
        ["scene0000_00"], ["scene0002_00"], []
    ]  # fmt: skip
    assert outcome.unlisted == ["scene0001_00"] and "1 on no official list" in "\n".join(outcome.lines())
    assert read_metadata(tmp_path / "out") == {"scenes": TITLE}
    assert [model.name for model in find_models(tmp_path / "out", "val")] == ["scene0002_00"]


def test_without_lists_all_are_for_testing_and_lists_grow_with_later_runs(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "out", scans, names=["scene0002_00"])
    prepare(tmp_path / "out", scans, names=["scene0000_00"])
    folder = tmp_path / "out" / "scenes"
    assert read_split(folder / "test.lst") == ["scene0000_00", "scene0002_00"]
    assert not (folder / "train.lst").exists()
    lists = OfficialSplits((tmp_path / "a.txt",), {"scene0000_00": "train"})
    prepare(tmp_path / "out", scans, lists=lists, names=["scene0000_00"])
    assert read_split(folder / "test.lst") == ["scene0002_00"] and read_split(folder / "train.lst") == ["scene0000_00"]


def test_named_lists_are_files_or_a_folder_and_disagreement_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    with pytest.raises(ValueError, match=r"expected lists \(scannetv2_train.txt, .*found none of them"):
        named_splits(LISTS, [tmp_path / "lists"])
    train, test = (tmp_path / "lists" / LISTS.format(split) for split in ("train", "test"))
    train.write_text("a\nb\n")
    test.write_text("c\n")
    for given in ([tmp_path / "lists"], [train, test]):
        assert named_splits(LISTS, given).split_of == {"a": "train", "b": "train", "c": "test"}
    test.write_text("b\n")
    with pytest.raises(ValueError, match="each scan on one list, found b on train and test"):
        named_splits(LISTS, [train, test])
    with pytest.raises(ValueError, match="expected a list named ..._train.txt"):
        named_splits(LISTS, [tmp_path / "retrain.txt"])


def test_broken_scenes_stop_the_run_or_are_named_and_left_out(tmp_path: Path, scans: Path) -> None:
    (scans / "scene0000_00" / "scene0000_00_vh_clean_2.ply").unlink()
    path = scans / "scene0001_00" / "scene0001_00_vh_clean_2.ply"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="scene0000_00_vh_clean_2.ply does not exist; .*or leave .* --skip-broken"):
        prepare(tmp_path / "out", scans)
    outcome = prepare(tmp_path / "out", scans, skip_broken=True)
    assert list(outcome.broken) == ["scene0000_00", "scene0001_00"] and outcome.written == 1
    assert "the file is truncated" in outcome.broken["scene0001_00"]
    assert "2 broken scans left out: scene0000_00, scene0001_00" in outcome.lines()
    assert [entry.name for entry in sorted((tmp_path / "out" / "scenes").iterdir())] == ["scene0002_00", "test.lst"]
    assert read_split(tmp_path / "out" / "scenes" / "test.lst") == ["scene0002_00"]
    with pytest.raises(ValueError, match="at least one scan that can be used, found none"):
        prepare(tmp_path / "none", scans, skip_broken=True, names=["scene0000_00"])


def test_the_source_says_how_a_model_was_made(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "out", scans, Drawing(70, seed=3))
    source = json.loads((tmp_path / "out" / "scenes" / "scene0001_00" / "source.json").read_text())
    assert source == {
        "settings": {
            "kind": "ScanNet v2", "mesh": "vh_clean_2", "points": 70, "files": 1, "seed": 3, "metres": True
        },
        "remarks": [],
    }  # fmt: skip


def test_what_is_replaced_stays_until_the_new_model_is_complete(
    tmp_path: Path, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path / "out", scans, names=["scene0001_00"])
    before = digest(tmp_path / "out")

    def full_disk(folder: Path, frame: UnitFrame) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(prepared, "write_frame", full_disk)
    for skip_broken in (False, True):  # a full disk is no broken scan
        with pytest.raises(OSError, match="disk full"):
            prepare(
                tmp_path / "out", scans, Drawing(9), overwrite=True, names=["scene0001_00"], skip_broken=skip_broken
            )
    assert digest(tmp_path / "out") == before


@pytest.mark.parametrize("content", ["", "[]", '{"settings": {}}', '{"settings": 1, "remarks": []}'])
def test_a_damaged_source_file_is_refused(tmp_path: Path, scans: Path, content: str) -> None:
    prepare(tmp_path / "out", scans)
    (tmp_path / "out" / "scenes" / "scene0001_00" / "source.json").write_text(content)
    with pytest.raises(ValueError, match="source.json: damaged; add --overwrite to make the model again"):
        prepare(tmp_path / "out", scans)
    assert prepare(tmp_path / "out", scans, overwrite=True).written == 3
