"""Scenes of ScanNet as models: aligned, upright, uniform by area, the same whatever else is prepared with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.layout import find_models
from sparse_convonet.data.convonet.samples import read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.sets.official_splits import OfficialSplits
from sparse_convonet.data.sets.prepared import Outcome, prepare_models, require_apart
from sparse_convonet.data.sets.scan_surface import Drawing
from sparse_convonet.data.sets.scannet import (
    CATEGORY,
    NOT_ALIGNED,
    TITLE,
    find_scenes,
    read_alignment,
    read_labels,
    read_scene,
    scene_models,
)
from sparse_convonet.structures import Mesh
from tests.data.format_true_folders import box_mesh, joined, scannet_ply, write_scannet_scene

ANGLE = np.radians(30)
# As in a .txt of ScanNet: a turn about the vertical, and a shift that puts the floor at 0.
ALIGNMENT = np.array(
    [
        [np.cos(ANGLE), np.sin(ANGLE), 0, -1.5],
        [-np.sin(ANGLE), np.cos(ANGLE), 0, 0.25],
        [0, 0, 1, -0.0625],
        [0, 0, 0, 1],
    ]
).round(6)
LOW, HIGH = np.array([-2.0, 1.0, 0.0]), np.array([3.0, 3.0, 2.5])  # the aligned room


def as_scanned(aligned: Mesh) -> Mesh:
    """Where the mesh stands before it is aligned."""
    inverse = np.linalg.inv(ALIGNMENT)
    return Mesh(aligned.vertices @ inverse[:3, :3].T + inverse[:3, 3], aligned.faces)


def prepare(
    root: Path, scans: Path, drawing: Drawing = Drawing(500), lists: OfficialSplits | None = None, **options
) -> Outcome:  # type: ignore[no-untyped-def]
    names = options.pop("names", None) or find_scenes(scans)
    models = scene_models(scans, names, lists or OfficialSplits((), {}), drawing, "vh_clean_2")
    return prepare_models(root, CATEGORY, TITLE, models, **options)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    for number in range(3):
        mesh = as_scanned(box_mesh(LOW.tolist(), (HIGH + [number, 0, 0]).tolist()))
        write_scannet_scene(folder, f"scene000{number}_00", mesh, ALIGNMENT)
    return folder


def test_points_lie_on_the_aligned_box_with_the_normals_of_its_faces(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "out", scans, Drawing(6000))
    model = find_models(tmp_path / "out", "test")[0]
    frame = read_frame(model.path)
    surface = read_surface(model.files(["pointcloud"])[0])
    assert frame is not None and surface.normals is not None
    assert surface.points_unit.dtype == np.float32 and len(surface) == 6000
    assert frame.metres_per_unit == pytest.approx(5.0, abs=1e-5)
    points = frame.to_world(surface.points_unit)
    normals = UnitFrame(np.zeros(3), 1.0).to_world(surface.normals)
    edges = HIGH - LOW
    areas = edges.prod() / edges
    counted = np.zeros(len(points), dtype=int)
    for axis in range(3):
        for side, sign in ((LOW, -1.0), (HIGH, 1.0)):
            on_side = np.abs(points[:, axis] - side[axis]) < 1e-5
            share = areas[axis] / (2 * areas.sum())
            assert (on_side & (normals @ np.eye(3)[axis] * sign > 0.99999)).sum() == pytest.approx(6000 * share, abs=3)
            counted += on_side
    assert (counted == 1).all() and ((points > LOW - 1e-5) & (points < HIGH + 1e-5)).all()


def test_the_cube_is_filled_along_its_longest_side_and_stands_on_the_floor(tmp_path: Path, scans: Path) -> None:
    prepare(tmp_path / "out", scans, Drawing(20_000, metres=False))
    model = find_models(tmp_path / "out", "test")[0]
    surface = read_surface(model.files(["pointcloud"])[0])
    assert read_frame(model.path) is None and surface.points_unit.dtype == np.float16
    low, high = surface.points_unit.min(axis=0), surface.points_unit.max(axis=0)
    # 5 m along x fill the cube; z of the world (2.5 m) is y; y of the world (2 m) is -z.
    assert np.allclose(low, [-0.5, -0.5, -0.2], atol=2e-3) and np.allclose(high, [0.5, 0.0, 0.2], atol=2e-3)


def test_a_room_is_turned_not_mirrored(tmp_path: Path) -> None:
    # Three posts of other heights: seen from above, from the lowest over the middle to the highest, a left turn.
    posts = [box_mesh([0, 0, 0], [0.1, 0.1, 1]), box_mesh([2, 0, 0], [2.1, 0.1, 2]), box_mesh([2, 2, 0], [2.1, 2.1, 3])]
    write_scannet_scene(tmp_path / "scans", "scene0000_00", joined(posts), np.eye(4))
    prepare(tmp_path / "out", tmp_path / "scans", Drawing(20_000, metres=False))
    points = read_surface(tmp_path / "out" / "scenes" / "scene0000_00" / "pointcloud.npz").points_unit.astype(float)
    tops = []
    for height in (1, 2, 3):
        at_top = np.abs(points[:, 1] - (height / 3 - 0.5)) < 2e-3
        tops.append(np.median(points[at_top][np.argsort(points[at_top, 1])], axis=0))
    first, second = (tops[1] - tops[0])[[0, 2]], (tops[2] - tops[1])[[0, 2]]
    # In a right-handed frame with y up, looking down, z points towards the viewer's feet: left turns are negative.
    assert first[0] * second[1] - first[1] * second[0] < -0.1


def test_labels_are_those_of_most_corners(tmp_path: Path) -> None:
    mesh = joined([box_mesh([0, 0, 0], [1, 1, 1]), box_mesh([3, 0, 0], [4, 1, 1])])
    labels = np.where(mesh.vertices[:, 0] < 2, 1, 40)
    write_scannet_scene(tmp_path / "scans", "scene0000_00", mesh, np.eye(4), labels)
    prepare(tmp_path / "out", tmp_path / "scans", Drawing(800))
    model = find_models(tmp_path / "out")[0]
    surface = read_surface(model.files(["pointcloud"])[0])
    frame = read_frame(model.path)
    assert frame is not None and surface.semantics is not None
    assert np.array_equal(surface.semantics, np.where(frame.to_world(surface.points_unit)[:, 0] < 2, 1, 40))
    assert set(np.unique(surface.semantics)) == {1, 40}


def test_scenes_without_alignment_stay_as_they_stand_and_are_counted(tmp_path: Path, scans: Path) -> None:
    write_scannet_scene(scans, "scene0707_00", box_mesh([1, 1, 1], [3, 2, 2]))
    write_scannet_scene(scans, "scene0708_00", box_mesh([1, 1, 1], [3, 2, 2]))
    (scans / "scene0708_00" / "scene0708_00.txt").unlink()
    for _ in range(2):  # also where they were made in an earlier run
        outcome = prepare(tmp_path / "out", scans)
        assert outcome.remarks == {NOT_ALIGNED: 2} and f"2 of them: {NOT_ALIGNED}" in outcome.lines()
    frame = read_frame(tmp_path / "out" / "scenes" / "scene0707_00")
    assert frame is not None and frame.centre_world.tolist() == [2, 1.5, 2] and frame.metres_per_unit == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("axisAlignment = 1 0 0", "expected 16 numbers after 'axisAlignment =', found '1 0 0'"),
        ("axisAlignment = " + "x " * 16, "expected 16 numbers"),
        ("axisAlignment = " + "2 " * 16, "expected a turn and a shift"),
        ("axisAlignment = nan 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1", "expected a turn and a shift"),
        ("axisAlignment = 0 1 0 0 1 0 0 0 0 0 1 0 0 0 0 1", "expected a turn and a shift"),  # a mirror
    ],
)
def test_a_damaged_alignment_is_refused(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "a.txt").write_text(f"colorWidth = 1296\n{line}\n")
    with pytest.raises(ValueError, match=words):
        read_alignment(tmp_path / "a.txt")


def test_labels_of_another_mesh_or_other_classes_are_refused(tmp_path: Path) -> None:
    mesh = box_mesh([0, 0, 0], [1, 1, 1])
    path = tmp_path / "a.labels.ply"
    for labels, words in (
        (None, "property 'label' of each vertex"),
        (np.full(8, 41), "NYU40 classes 0 to 40, found 41"),
    ):
        path.write_bytes(scannet_ply(mesh, labels))
        with pytest.raises(ValueError, match=words):
            read_labels(path, 8)
    path.write_bytes(scannet_ply(mesh, np.zeros(8)))
    with pytest.raises(ValueError, match="expected 9 labels, one per vertex of the mesh, found 8"):
        read_labels(path, 9)


def test_bad_folders_and_numbers_are_one_sentence(tmp_path: Path, scans: Path) -> None:
    with pytest.raises(ValueError, match="found no folder"):
        find_scenes(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"found scans; name .*scans$"):
        find_scenes(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none; name the folder scans"):
        find_scenes(tmp_path / "empty")
    with pytest.raises(ValueError, match="found 0 points, 1 files and seed 0"):
        Drawing(0)
    with pytest.raises(ValueError, match="expected a folder outside"):
        require_apart(scans, scans / "out")
    with pytest.raises(FileNotFoundError, match="choose another --mesh"):
        read_scene(scans / "scene0000_00", "vh_clean")
