"""What a survey counts and measures: every model counted, measures that are known exactly, broken ones named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.sidecar import write_frame
from sparse_convonet.data.convonet.surface_measures import local_measures, quantisation_step
from sparse_convonet.data.convonet.survey import GroupSurvey, find_groups, survey_groups
from tests.data.convonet.small_set import POINTS, QUERIES, write_model, write_set
from tests.io.made_archives import refusal


def ball(count: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    directions = rng.normal(size=(count, 3))
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "radius"), [(3_000, 0.4), (20_000, 0.1), (80_000, 0.45)])
def test_the_density_of_a_ball_is_its_points_over_its_area(rng: np.random.Generator, count: int, radius: float) -> None:
    found = local_measures(ball(count, radius, rng), None, rng)
    assert found.density == pytest.approx(count / (4 * np.pi * radius**2), rel=0.08)
    assert found.noise < 0.002


@pytest.mark.parametrize("deviation", [0.0, 0.0005, 0.002])
def test_the_noise_of_a_plane_is_its_deviation(rng: np.random.Generator, deviation: float) -> None:
    points = rng.uniform(-0.5, 0.5, (30_000, 3))
    points[:, 1] = deviation * rng.standard_normal(len(points))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = local_measures(points @ turn, None, rng)
    assert found.noise == pytest.approx(deviation, rel=0.08, abs=1e-9)
    assert found.density == pytest.approx(30_000, rel=0.12)


def test_the_two_sides_of_a_thin_wall_are_no_noise_where_normals_tell_them_apart(rng: np.random.Generator) -> None:
    points = rng.uniform(-0.5, 0.5, (2000, 3))
    normals = np.repeat([[0.0, 1, 0], [0, -1, 0]], 1000, axis=0)
    points[:, 1] = 0.005 * normals[:, 1] + 0.001 * rng.standard_normal(2000)
    assert local_measures(points, normals, rng).noise == pytest.approx(0.001, rel=0.1)
    assert local_measures(points, None, rng).noise > 0.004


def test_too_few_or_equal_points_have_no_density(rng: np.random.Generator) -> None:
    assert np.isnan(local_measures(rng.random((16, 3)), None, rng).density)
    assert np.isfinite(local_measures(rng.random((17, 3)), None, rng).density)
    same = local_measures(np.ones((100, 3)), None, rng)
    assert np.isnan(same.density) and same.noise == 0


def test_the_step_of_coordinates_is_that_of_half_precision_or_of_their_lattice(rng: np.random.Generator) -> None:
    points = rng.uniform(-0.49, 0.49, (5000, 3))
    halves = points.astype(np.float16)
    assert quantisation_step(halves) == quantisation_step(halves.astype(np.float32)) == 2.0**-12
    assert quantisation_step(halves / np.float16(2)) == 2.0**-13
    assert quantisation_step(np.round(points * 200) / 200) == pytest.approx(0.005)
    assert quantisation_step((np.round(points * 200) / 200).astype(np.float32)) == pytest.approx(0.005, rel=1e-4)
    assert quantisation_step(points) == quantisation_step(points.astype(np.float32)) == 0
    assert quantisation_step(np.full((1, 3), 1e6, dtype=np.float32)) == 0


def test_a_data_set_is_read_by_class_and_list(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set")
    write_model(root / "b" / "spare", 9)
    groups = find_groups(root)
    assert [(each.category, each.split, len(each.models)) for each in groups] == [
        ("a", "train", 5), ("a", "val", 1), ("b", "train", 5), ("b", "val", 1), ("b", None, 1),
    ]  # fmt: skip
    assert groups[4].models[0].path == root / "b" / "spare"
    assert [each.category for each in find_groups(root, "val")] == ["a", "b"]
    assert [each.split for each in find_groups(root, None, ["a"])] == ["train", "val"]
    assert [(each.category, each.split) for each in find_groups(root / "a")] == [("a", "train"), ("a", "val")]
    (one,) = find_groups(root / "a" / "m3")
    assert (one.category, one.split, one.models[0].name) == ("a", None, "m3")


def test_folders_without_lists_are_searched(tmp_path: Path) -> None:
    for place in ("scans/first/x", "scans/first/y", "scans/second/z", "w", ".hidden/v"):
        write_model(tmp_path / "any" / place, 1)
    found = {each.category: [model.name for model in each.models] for each in find_groups(tmp_path / "any")}
    assert found == {"any": ["w"], "scans/first": ["x", "y"], "scans/second": ["z"]}
    assert [each.category for each in find_groups(tmp_path / "any" / "scans" / "first")] == ["first"]


def test_paths_without_models_are_refused(tmp_path: Path) -> None:
    assert "expected folders of models (pointcloud.npz, ...) or their lists, found neither" in refusal(
        find_groups, tmp_path
    )
    assert "expected the folder of a data set or of a model, found nothing" in refusal(find_groups, tmp_path / "x")
    (tmp_path / "file").touch()
    assert "found a file" in refusal(find_groups, tmp_path / "file")
    root = write_set(tmp_path / "set", models=1)
    message = refusal(lambda path: find_groups(path, "test"), root)
    assert "expected a split of: train, val, found 'test'; choose one of these" in message
    message = refusal(lambda path: find_groups(path, None, ["a", "c"]), root)
    assert "expected a class of: a, b, found 'c'" in message
    assert "expected a split of: none, found 'val'" in refusal(lambda path: find_groups(path, "val"), root / "a" / "m0")


def survey_of(path: Path, **chosen) -> GroupSurvey:
    (survey,) = survey_groups(find_groups(path, "train"), **chosen)
    return survey


def test_measures_are_those_of_the_files(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=2, classes=("a",), dtype=np.float32)
    frame = UnitFrame(np.array([1.0, 2.0, 3.0]), 4.0)
    write_frame(root / "a" / "m1", frame)
    first, second = survey_of(root).measures
    assert (first.files, first.points, first.queries) == ((3, 3), POINTS, QUERIES)
    assert (first.point_type, first.query_type) == ("float32", "float32")
    assert first.frame is None and second.frame is not None and second.frame.metres_per_unit == 4.0
    assert np.abs(first.bounds_unit).max() == pytest.approx(0.2, abs=0.01)
    with np.load(first.read_from[0]) as stored:
        assert first.bounds_unit.tolist() == [stored["points"].min(0).tolist(), stored["points"].max(0).tolist()]
    assert first.read_from[1] is not None
    with np.load(first.read_from[1]) as stored:
        assert first.occupied == np.unpackbits(stored["occupancies"])[:QUERIES].mean()
    assert first.normal_lengths == (pytest.approx(1.0, abs=1e-6), pytest.approx(1.0, abs=1e-6))
    assert first.labels == first.query_labels == {}


def test_classes_of_queries_are_counted_inside_alone(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=1, classes=("a",))
    labels = np.array([-1, 0, 0, 3, 7, 7])
    folder = root / "a" / "m0"
    shutil.rmtree(folder / "points_iou")
    shutil.rmtree(folder / "pointcloud")
    np.savez(folder / "points.npz", points=np.zeros((6, 3)), occupancies=labels < 7, semantics=labels)
    np.savez(folder / "pointcloud.npz", points=np.eye(3)[[0, 1, 2, 0, 1, 2]], semantics=labels)
    (found,) = survey_of(root).measures
    assert found.labels == {-1: 1, 0: 2, 3: 1, 7: 2} and found.query_labels == {-1: 1, 0: 2, 3: 1}
    assert found.normal_lengths is None and found.files == (1, 1) and found.occupied == pytest.approx(4 / 6)


def test_broken_models_are_counted_with_their_reasons_and_the_others_measured(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=6, classes=("a",))
    shutil.rmtree(root / "a" / "m0")
    shutil.rmtree(root / "a" / "m1" / "pointcloud")
    shutil.rmtree(root / "a" / "m2" / "points_iou")
    for file in (root / "a" / "m3" / "points_iou").iterdir():
        file.write_bytes(b"junk")
    (root / "a" / "m4" / "frame.json").write_text("{}")
    found = survey_of(root)
    assert (len(found.group.models), found.present, found.with_occupancy, found.checked) == (6, 4, 3, 3)
    assert [each.model.name for each in found.measures] == ["m5"]
    reasons = dict(found.broken)
    assert sorted(reasons) == ["m0", "m1", "m2", "m3", "m4"]
    assert "found no such folder" in reasons["m0"] and "found points_iou" in reasons["m1"]
    assert "expected points_iou.npz or" in reasons["m2"] and "an .npz archive" in reasons["m3"]
    assert "metres_per_unit" in reasons["m4"]


def test_a_set_of_surfaces_alone_is_not_broken(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=2, classes=("a",))
    for name in ("m0", "m1"):
        shutil.rmtree(root / "a" / name / "points_iou")
    found = survey_of(root)
    assert found.broken == () and found.with_occupancy == 0 and found.measures[0].occupied is None


def test_a_list_that_cannot_be_read_is_one_broken_entry(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=2, classes=("a",))
    (root / "a" / "train.lst").write_text("../elsewhere")
    found = survey_of(root)
    assert len(found.group.models) == 0 and found.broken[0][0] == "train.lst"
    assert "expected names of folders beside it" in found.broken[0][1]


def test_the_same_seed_reads_the_same_models_and_no_more_than_asked_for(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=8, classes=("a",))
    calls: list[None] = []
    first = survey_of(root, seed=1, limit=3, read=lambda: calls.append(None))
    again, other = survey_of(root, seed=1, limit=3), survey_of(root, seed=2, limit=3)

    def read(survey: GroupSurvey) -> list[tuple]:
        return [(each.model.name, each.read_from, each.density) for each in survey.measures]

    assert len(first.measures) == first.checked == len(calls) == 3 and first.present == 8
    assert read(first) == read(again) != read(other)
    assert len(survey_groups(find_groups(root), limit=1)) == 2  # one of each group at least
