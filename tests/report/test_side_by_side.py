from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from sparse_convonet.picture.shading import PAGE, SECTION_COLOUR
from sparse_convonet.report import side_by_side
from sparse_convonet.report.error_legend import error_colours
from sparse_convonet.report.side_by_side import Entry, write_side_by_side
from sparse_convonet.structures import Mesh

FRAME = (205, 209, 214)
EMPTY = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))


@pytest.fixture(autouse=True)
def small_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_PANEL_WIDTHS", dict.fromkeys((1, 2, 3, 4), 360))


def _boxes(boxes: list[tuple[float, ...]]) -> Mesh:
    """One mesh of axis-aligned boxes (low x, y, z, high x, y, z)."""
    whole = trimesh.util.concatenate([trimesh.creation.box(bounds=np.reshape(box, (2, 3))) for box in boxes])
    return Mesh(np.array(whole.vertices), np.array(whole.faces, dtype=np.int64))


def _room(z: float = 0.0, ceiling: float = 2.5) -> list[tuple[float, ...]]:
    """5 x 3.75 m, walls of 25 cm, floor and ceiling: all lengths are multiples of 1.25 cm * 2**n, so exact / 5."""
    wall, top = 0.3125, z + ceiling
    return [
        (0.0, 0.0, z - 0.3125, 5.0, 3.75, z),
        (0.0, 0.0, top, 5.0, 3.75, top + 0.3125),
        (0.0, 0.0, z, 5.0, wall, top),
        (0.0, 3.75 - wall, z, 5.0, 3.75, top),
        (0.0, wall, z, wall, 3.75 - wall, top),
        (5.0 - wall, wall, z, 5.0, 3.75 - wall, top),
    ]


ROOM = _boxes([*_room(), (2.5, 1.25, 0.0, 3.75, 2.5, 0.625)])


def _plain(mesh: Mesh, name: str = "a") -> Entry:
    return Entry(name, mesh, "", None)


def _panels(path: Path) -> list[np.ndarray]:
    """(h, w, 3) int64 of what lies within each frame of a picture with one row of panels."""
    picture = np.asarray(Image.open(path).convert("RGB"), dtype=np.int64)
    framed = (picture == FRAME).all(axis=2)
    rows = np.flatnonzero(framed.sum(axis=1) > 300)
    columns = np.flatnonzero(framed.sum(axis=0) > 200).reshape(-1, 2)
    assert len(rows) == 2
    return [picture[rows[0] + 1 : rows[1], left + 1 : right] for left, right in columns]


def _draw(folder: Path, entries: list[Entry], unit: str = "m", largest: float = 0.1, cut: bool = True) -> list:
    path = folder / "side.png"
    write_side_by_side(path, "title", entries, largest_error=largest, unit=unit, cut=cut)
    panels = _panels(path)
    assert len(panels) == len(entries)
    return panels


def _extent(panel: np.ndarray) -> np.ndarray:
    """Columns and rows over which something is drawn."""
    rows, columns = np.nonzero((panel < min(PAGE)).any(axis=2))
    return np.array([np.ptp(columns), np.ptp(rows)])


def _sections(panel: np.ndarray) -> int:
    """How many pixels lie wholly within the solid at the cut."""
    return int((panel == np.rint(255 * np.array(SECTION_COLOUR))).all(axis=2).sum())


def test_the_same_mesh_looks_the_same_in_every_panel_whatever_colours_and_normals_it_carries(tmp_path: Path) -> None:
    red = np.full(ROOM.vertices.shape, (255, 0, 0), dtype=np.uint8)
    dressed = replace(ROOM, colours=red, normals=np.ones(ROOM.vertices.shape, dtype=np.float32))
    first, second, third = _draw(tmp_path, [_plain(ROOM, "truth"), _plain(dressed, "b"), _plain(ROOM, "c")])
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, third)
    assert _extent(first).min() > 100


def test_half_the_mesh_covers_half_the_length(tmp_path: Path) -> None:
    low = _boxes([(0, 0, 0, 4, 3, 1)])
    whole, half = _draw(tmp_path, [_plain(low), _plain(replace(low, vertices=low.vertices / 2))])
    np.testing.assert_allclose(_extent(half) / _extent(whole), 0.5, atol=0.02)


def test_scale_and_camera_are_those_of_the_first_mesh_though_another_reaches_far_away(tmp_path: Path) -> None:
    far = _boxes([(0, 0, 0, 4, 3, 1), (400, 300, 0, 401, 301, 1)])
    near = _boxes([(0, 0, 0, 4, 3, 1)])
    alone, _ = _draw(tmp_path, [_plain(near), _plain(near)])
    beside, other = _draw(tmp_path, [_plain(near), _plain(far)])
    assert (_extent(beside) > 0.75 * _extent(alone)).all()
    np.testing.assert_allclose(_extent(other)[1], _extent(beside)[1], atol=1)


def test_all_are_cut_where_the_first_mesh_is_cut(tmp_path: Path) -> None:
    tower = _boxes([*_room(), (2.5, 1.25, 0.0, 3.75, 2.5, 9.0)])
    _, cut = _draw(tmp_path, [_plain(ROOM), _plain(tower)])
    assert _extent(cut)[1] <= _extent(_draw(tmp_path, [_plain(ROOM)] * 2)[0])[1] + 1
    whole_room, whole_tower = _draw(tmp_path, [_plain(ROOM), _plain(tower)], cut=False)
    assert (whole_tower < min(PAGE)).any(axis=2).sum() > (whole_room < min(PAGE)).any(axis=2).sum()


def test_cut_takes_the_ceiling_off_and_whole_objects_keep_their_top(tmp_path: Path) -> None:
    (cut, _), (whole, _) = (_draw(tmp_path, [_plain(ROOM)] * 2, cut=cut) for cut in (True, False))
    assert _sections(cut) > 500  # walls where they are cut
    assert _sections(whole) == 0


def test_storeys_of_a_panel_stand_apart(tmp_path: Path) -> None:
    def pieces(mesh: Mesh) -> int:
        """Into how many parts empty rows or columns divide a panel."""
        shown = (_draw(tmp_path, [_plain(mesh)] * 2)[1] < min(PAGE)).any(axis=2)
        return max(int((np.diff(shown.any(axis=axis).astype(int)) == 1).sum()) for axis in (0, 1))

    assert pieces(_boxes(_room())) == 1
    assert pieces(_boxes([*_room(), *_room(z=3.0)])) == 2


def test_open_meshes_show_no_inside_of_a_solid(tmp_path: Path) -> None:
    opened = replace(ROOM, faces=ROOM.faces[1:])
    closed, opened_panel = _draw(tmp_path, [_plain(ROOM), _plain(opened)])
    assert _sections(closed) > 0
    assert _sections(opened_panel) == 0


def test_a_room_of_the_unit_cube_looks_like_the_same_room_in_metres(tmp_path: Path) -> None:
    cube = replace(ROOM, vertices=ROOM.vertices / 5)
    np.testing.assert_array_equal(cube.vertices * 5, ROOM.vertices)
    error = np.linspace(0, 0.1, len(ROOM.vertices))
    metres = _draw(tmp_path, [Entry("a", ROOM, "", error)] * 2)
    units = _draw(tmp_path, [Entry("a", cube, "", error / 5)] * 2, unit="of the cube", largest=0.02)
    assert np.abs(metres[0] - units[0]).max() <= 1  # the errors are rounded


def test_errors_beyond_the_largest_look_like_the_largest(tmp_path: Path) -> None:
    count = len(ROOM.vertices)
    entries = [Entry("a", ROOM, "", np.full(count, error)) for error in (0.1, 0.4, np.inf)]
    largest, more, infinite = _draw(tmp_path, entries)
    np.testing.assert_array_equal(largest, more)
    np.testing.assert_array_equal(largest, infinite)


def test_larger_errors_are_darker() -> None:
    linear = (error_colours(np.linspace(0, 1, 101), 1.0) / 255.0) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(luminance) < 0).all()
    np.testing.assert_array_equal(error_colours(np.array([0.05]), 0.1), error_colours(np.array([5.0]), 10.0))


def test_a_mesh_with_a_small_error_is_drawn_lighter_than_one_with_a_large_one(tmp_path: Path) -> None:
    count = len(ROOM.vertices)
    small, large = _draw(tmp_path, [Entry("a", ROOM, "", np.full(count, error)) for error in (0.0, 0.1)])
    assert small.mean() > large.mean() + 20
    np.testing.assert_array_equal(
        (small < min(PAGE)).any(axis=2) | (large < min(PAGE)).any(axis=2), (large < min(PAGE)).any(axis=2)
    )


def test_an_empty_mesh_says_so_and_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    nothing, room = _draw(tmp_path, [Entry("failed", EMPTY, "no more memory", np.zeros(0)), _plain(ROOM)])
    np.testing.assert_array_equal(room, _draw(tmp_path, [_plain(ROOM)] * 2)[0])
    written = _extent(nothing)
    assert 60 < written[0] < 200
    assert 8 < written[1] < 40


def test_empty_meshes_alone_are_drawn_too(tmp_path: Path) -> None:
    for panel in _draw(tmp_path, [_plain(EMPTY)] * 3):
        assert _extent(panel).max() > 0


@pytest.mark.parametrize(("count", "across"), [(1, 1), (4, 2), (5, 3), (10, 4)])
def test_panels_form_a_grid(count: int, across: int, tmp_path: Path) -> None:
    path = tmp_path / "side.png"
    write_side_by_side(path, "title", [_plain(EMPTY)] * count, largest_error=1.0, unit="m")
    framed = (np.asarray(Image.open(path)) == FRAME).all(axis=2)
    assert (framed.sum(axis=0) > 200).sum() == 2 * across
    assert (framed.sum(axis=1) > 300).sum() == 2 * -(-count // across)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (np.zeros(3), r"picture of a: expected one error for each of 56 vertices, found an array of shape \(3,\)"),
        (np.full(56, np.nan), "expected distances of 0 or more"),
        (np.full(56, -1.0), "expected distances of 0 or more"),
    ],
)
def test_errors_that_are_no_distances_are_refused(error: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Entry("a", ROOM, "", error)


@pytest.mark.parametrize("largest", [0.0, -1.0, np.nan, np.inf])
def test_a_largest_error_that_is_not_positive_is_refused(largest: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a largest error above 0"):
        write_side_by_side(tmp_path / "side.png", "title", [_plain(ROOM)], largest_error=largest, unit="m")
    assert list(tmp_path.iterdir()) == []


def test_no_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at least one mesh"):
        write_side_by_side(tmp_path / "side.png", "title", [], largest_error=1.0, unit="m")


def test_long_words_stay_within_their_panel(tmp_path: Path) -> None:
    path = tmp_path / "side.png"
    entry = Entry("name " * 90, EMPTY, "remark " * 90, None)
    write_side_by_side(path, "title " * 90, [entry] * 2, largest_error=1.0, unit="m")
    picture = np.asarray(Image.open(path))
    assert (picture[:, -15:] == PAGE).all()
    assert (picture[70:, 384:398] == PAGE).all()  # between the panels
