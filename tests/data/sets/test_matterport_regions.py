"""Scans of Matterport3D as models: buildings, floors and regions, unpacked or as downloaded."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.convonet.layout import find_models, read_split
from sparse_convonet.data.convonet.samples import read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.sets.matterport_regions import (
    CATEGORY,
    LEVELS_GUESSED,
    LISTS,
    REGIONS_LEFT_OUT,
    TITLE,
    Part,
    find_floors,
    find_scans,
    nearest_region,
    parse_house,
    scan_models,
)
from sparse_convonet.data.sets.official_splits import OfficialSplits, find_splits
from sparse_convonet.data.sets.prepared import Outcome, prepare_models
from sparse_convonet.data.sets.scan_surface import Drawing
from sparse_convonet.io.matterport import find_house_file, find_regions, read_regions
from sparse_convonet.structures import Mesh
from tests.data.format_true_folders import box_mesh, house_file, joined, matterport_files, write_matterport_scan
from tests.data.furniture.tiny_library import tiny_library

SCAN = "17DRP5sb8fy"
# Two rooms below, two above, and the image of one in a mirror, on no level.  The order of levels is not that of heights.
ROOMS = [
    (1, box_mesh([0, 0, 0], [4, 3, 2.5])),
    (0, box_mesh([0, 0, 3], [4, 3, 5.5])),
    (1, box_mesh([4.5, 0, 0.25], [8, 3, 2.5])),
    (0, box_mesh([4.5, 0, 2.75], [8, 3, 5.5])),
    (-1, box_mesh([10, 0, 0], [11, 1, 1])),
]
LOWER, UPPER = ([0, 0, 0], [8, 3, 2.5]), ([0, 0, 2.75], [8, 3, 5.5])


def files_of(*, without: tuple[str, ...] = (), rooms: list[tuple[int, Mesh]] = ROOMS) -> dict[str, dict[str, bytes]]:
    """The scan's files, without those parts, or those files of house_segmentations, whose names are given."""
    parts = {name: dict(files) for name, files in matterport_files(SCAN, rooms).items() if name not in without}
    for name in without:
        parts.get("house_segmentations", {}).pop(f"{SCAN}{name}", None)
    return parts


def prepare(root: Path, scans: Path, part: Part, points: int = 600, lists: OfficialSplits | None = None) -> Outcome:
    models = scan_models(scans / SCAN, part, lists or OfficialSplits((), {}), Drawing(points))
    return prepare_models(root, CATEGORY, TITLE, models)


def points_world(model: Path) -> np.ndarray:
    frame = read_frame(model)
    assert frame is not None
    return frame.to_world(read_surface(model / "pointcloud.npz").points_unit)


def lies_in(points: np.ndarray, box: tuple[Sequence[float], Sequence[float]]) -> bool:
    """Whether all points are in the box, and reach within a decimetre of each of its sides."""
    low, high = np.array(box)
    return (
        np.abs(points.min(axis=0) - low).max() < 0.1
        and np.abs(points.max(axis=0) - high).max() < 0.1
        and bool(((points > low - 1e-5) & (points < high + 1e-5)).all())
    )


@pytest.mark.parametrize("zipped", [False, True])
def test_models_are_the_building_its_floors_from_below_and_its_regions(tmp_path: Path, zipped: bool) -> None:
    scans, folder = tmp_path / "scans", tmp_path / "out" / CATEGORY
    write_matterport_scan(scans, SCAN, files_of(), zipped=zipped)
    before = sorted(scans.rglob("*"))
    prepare(tmp_path / "out", scans, "building")
    outcome = prepare(tmp_path / "out", scans, "floors")
    assert outcome.remarks == {REGIONS_LEFT_OUT: 2}
    prepare(tmp_path / "out", scans, "regions")
    assert sorted(scans.rglob("*")) == before
    names = [SCAN, f"{SCAN}_floor0", f"{SCAN}_floor1", *(f"{SCAN}_region{number}" for number in range(5))]
    assert read_split(folder / "test.lst") == [model.name for model in find_models(tmp_path / "out", "test")] == names
    assert lies_in(points_world(folder / SCAN), ([0, 0, 0], [11, 3, 5.5]))
    assert lies_in(points_world(folder / f"{SCAN}_floor0"), LOWER)
    assert lies_in(points_world(folder / f"{SCAN}_floor1"), UPPER)
    for number, (_, room) in enumerate(ROOMS):
        points = points_world(folder / f"{SCAN}_region{number}")
        low, high = room.vertices.min(axis=0), room.vertices.max(axis=0)
        assert lies_in(points, (low.tolist(), high.tolist()))
        depth = np.minimum(np.abs(points - low), np.abs(points - high)).min(axis=1)
        assert depth.max() < 1e-5  # on the faces, exactly


def test_archives_give_the_same_bytes_as_folders(tmp_path: Path) -> None:
    parts: tuple[Part, ...] = ("building", "floors", "regions")
    content = []
    for zipped in (False, True):
        scans, out = tmp_path / f"scans{zipped}", tmp_path / f"out{zipped}"
        write_matterport_scan(scans, SCAN, files_of(), zipped=zipped)
        for part in parts:
            prepare(out, scans, part)
        content.append({file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()})
    assert content[0] == content[1] and len(content[0]) == 8 * 3 + 2


def test_single_files_in_archives_and_archives_unpacked_where_they_lie_are_found(tmp_path: Path) -> None:
    parts = files_of()
    single = tmp_path / "a" / SCAN / "region_segmentations"
    single.mkdir(parents=True)
    for number in range(5):
        name = f"region{number}.ply"
        if number == 3:
            (single / name).write_bytes(parts["region_segmentations"][name])
            continue
        with zipfile.ZipFile(single / f"region{number}.zip", "w") as archive:
            archive.writestr(name, parts["region_segmentations"][name])
    write_matterport_scan(tmp_path / "b" / SCAN, SCAN, parts, zipped=False)
    for folder in (tmp_path / "a" / SCAN, tmp_path / "b" / SCAN):
        assert list(find_regions(folder)) == [0, 1, 2, 3, 4]
        assert np.array_equal(read_regions(folder, [2, 3]).vertices, joined([ROOMS[2][1], ROOMS[3][1]]).vertices)
    assert find_house_file(tmp_path / "b" / SCAN) is not None and find_house_file(tmp_path / "a" / SCAN) is None


def test_floors_are_cut_from_the_house_where_there_are_no_regions(tmp_path: Path) -> None:
    scans, folder = tmp_path / "scans", tmp_path / "out" / CATEGORY
    write_matterport_scan(scans, SCAN, files_of(without=("region_segmentations",)), zipped=True)
    prepare(tmp_path / "out", scans, "floors", points=2000)
    assert lies_in(points_world(folder / f"{SCAN}_floor0"), LOWER)
    assert lies_in(points_world(folder / f"{SCAN}_floor1"), UPPER)


def test_floors_without_levels_follow_the_heights_of_regions(tmp_path: Path) -> None:
    rooms = [(-1, room) for _, room in ROOMS[:4]]
    write_matterport_scan(tmp_path, SCAN, files_of(rooms=rooms), zipped=False)
    layout = find_floors(tmp_path / SCAN)
    assert [[region.number for region in floor] for floor in layout.floors] == [[0, 2], [1, 3]]
    assert layout.remarks == (LEVELS_GUESSED,)


def test_floors_without_a_house_file_say_what_else_can_be_done(tmp_path: Path) -> None:
    write_matterport_scan(tmp_path, SCAN, files_of(without=(".house",)), zipped=False)
    with pytest.raises(ValueError, match="found none; download house_segmentations, or choose --part building or"):
        prepare(tmp_path / "out", tmp_path, "floors")
    write_matterport_scan(tmp_path / "other", SCAN, {"house_segmentations": {}}, zipped=True)
    with pytest.raises(ValueError, match="expected region_segmentations .* or choose --part building"):
        prepare(tmp_path / "out", tmp_path / "other", "regions")


def test_a_floor_that_lacks_a_region_is_refused(tmp_path: Path) -> None:
    parts = files_of()
    del parts["region_segmentations"]["region2.ply"]
    write_matterport_scan(tmp_path, SCAN, parts, zipped=False)
    with pytest.raises(ValueError, match="all regions of floor 0, found none for 2; download them again"):
        prepare(tmp_path / "out", tmp_path, "floors")
    with pytest.raises(ValueError, match="region2.ply: expected a region of this scan, found no such file"):
        read_regions(tmp_path / SCAN, [0, 2])


def test_a_textured_mesh_alone_is_a_building(tmp_path: Path) -> None:
    parts = files_of(without=("house_segmentations", "region_segmentations"))
    write_matterport_scan(tmp_path, SCAN, parts, zipped=False)
    prepare(tmp_path / "out", tmp_path, "building")
    assert lies_in(points_world(tmp_path / "out" / CATEGORY / SCAN), ([0, 0, 0], [11, 3, 5.5]))


def test_points_of_a_generated_room_lie_on_its_surface(tmp_path: Path) -> None:
    vertices, faces = make_room(5, tiny_library()).mesh()
    room = Mesh(vertices.astype(np.float32).astype(np.float64), faces)
    write_matterport_scan(tmp_path, SCAN, matterport_files(SCAN, [(0, room)]), zipped=True)
    prepare(tmp_path / "out", tmp_path, "regions", points=400)
    points = points_world(tmp_path / "out" / CATEGORY / f"{SCAN}_region0")
    # In double precision, face by face: single precision is off by a millimetre on faces that are long and thin.
    triangles = room.vertices[room.faces]
    for point in points[:100]:
        near = trimesh.triangles.closest_point(triangles, np.broadcast_to(point, (len(triangles), 3)))
        assert np.linalg.norm(near - point, axis=1).min() < 1e-5


def test_the_official_lists_name_scans_and_cover_their_floors_and_regions(tmp_path: Path) -> None:
    write_matterport_scan(tmp_path / "scans", SCAN, files_of(), zipped=True)
    (tmp_path / LISTS.format("val")).write_text(f"{SCAN}\n")
    for part in ("floors", "regions"):
        prepare(tmp_path / "out", tmp_path / "scans", part, lists=find_splits(LISTS, [tmp_path]))  # type: ignore[arg-type]
    names = [f"{SCAN}_floor{index}" for index in range(2)] + [f"{SCAN}_region{number}" for number in range(5)]
    assert read_split(tmp_path / "out" / CATEGORY / "val.lst") == names
    assert read_split(tmp_path / "out" / CATEGORY / "test.lst") == []


def test_archives_that_leave_their_folder_are_refused(tmp_path: Path) -> None:
    write_matterport_scan(tmp_path, SCAN, files_of(), zipped=True)
    for part, chosen in (("house_segmentations", "floors"), ("region_segmentations", "regions")):
        with zipfile.ZipFile(tmp_path / SCAN / f"{part}.zip", "a") as archive:
            archive.writestr("../../evil.ply", b"ply")
        with pytest.raises(ValueError, match="which leaves it; do not trust this archive"):
            prepare(tmp_path / "out", tmp_path, chosen)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found nothing"),
        (b"ply\n", r"first line 'ASCII 1.1'\), found"),
        (b"ASCII 1.1\nR 0 1 0 0 b 0 0 0 1 2 3\n", "lines 'R region level 0 0 label' and nine coordinates"),
        (b"ASCII 1.1\nR 0 x 0 0 b 0 0 0 0 0 0 1 1 1\n", "lines 'R region level"),
        (b"ASCII 1.1\nR 0 1 0 0 b 0 0 0 0 0 nan 1 1 1\n", "finite boxes"),
    ],
)
def test_a_damaged_house_file_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_house(Path("a.house"), content)


def test_a_house_file_gives_levels_and_boxes() -> None:
    regions = parse_house(Path("a.house"), house_file(SCAN, ROOMS))
    assert [(region.number, region.level) for region in regions] == [(0, 1), (1, 0), (2, 1), (3, 0), (4, -1)]
    for region, (_, room) in zip(regions, ROOMS, strict=True):
        assert region.bounds_m.tolist() == [room.vertices.min(axis=0).tolist(), room.vertices.max(axis=0).tolist()]


def test_a_place_in_two_boxes_belongs_to_the_smaller_and_others_to_the_nearest() -> None:
    regions = parse_house(Path("a.house"), house_file(SCAN, [(0, box_mesh([0, 0, 0], [9, 9, 9])), ROOMS[0], ROOMS[4]]))
    places = np.array([[1, 1, 1], [8, 8, 8], [10.5, 0.5, 0.5], [9.4, 0.5, 0.5], [9.6, 0.5, 0.5]])
    assert nearest_region(places, regions).tolist() == [1, 0, 2, 0, 2]


def test_scans_are_chosen_by_name_and_unknown_ones_refused(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    assert find_scans(tmp_path) == ["a", "b"] and find_scans(tmp_path, ["b", "b"]) == ["b"]
    with pytest.raises(ValueError, match="expected the folders of c, d, found none; check --scene"):
        find_scans(tmp_path, ["d", "a", "c"])
    with pytest.raises(ValueError, match="found none; name the folder v1/scans"):
        find_scans(tmp_path / "a")
    with pytest.raises(ValueError, match="found no folder"):
        find_scans(tmp_path / "nowhere")
