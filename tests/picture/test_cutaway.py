from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from sparse_convonet.picture.camera import ParallelCamera, heading_off_walls, lay_out
from sparse_convonet.picture.cutaway import ends_of, render_cutaway
from sparse_convonet.picture.framing import Framing
from sparse_convonet.picture.open_ground import columns_of, is_open_ground, merged_columns
from sparse_convonet.picture.shading import PAGE
from sparse_convonet.picture.storeys import Storey, find_storeys
from sparse_convonet.structures import Mesh
from tests.oracles.ray_picture import subpixel_centres

GREY, RED, GREEN, BLUE = (150, 150, 150), (230, 30, 30), (30, 230, 30), (30, 30, 230)
FLOOR = (0.0, 0.0, -0.2, 10.0, 6.0, 0.0)
BLOCKS = {  # like a letter without any symmetry
    RED: (7.0, 4.0, 0.0, 8.0, 5.0, 0.5),
    GREEN: (1.0, 4.0, 0.0, 2.0, 5.0, 0.5),
    BLUE: (6.0, 1.0, 0.0, 7.0, 2.0, 0.5),
}
ELEVATION = 60.0


def _boxes(boxes: list[tuple[tuple[float, ...], tuple[int, int, int]]]) -> Mesh:
    """One mesh of axis-aligned boxes (low x, y, z, high x, y, z), each in its colour."""
    parts = [trimesh.creation.box(bounds=np.reshape(box, (2, 3))) for box, _ in boxes]
    whole = trimesh.util.concatenate(parts)
    colours = np.repeat([colour for _, colour in boxes], [len(part.vertices) for part in parts], axis=0)
    return Mesh(np.array(whole.vertices), np.array(whole.faces, dtype=np.int64), colours=colours.astype(np.uint8))


def _room(low: tuple[float, float, float], high: tuple[float, float, float], wall: float) -> list[tuple[float, ...]]:
    """Four walls between two corners, outer sizes; between them slabs, 20 cm down from the floor, up from the top."""
    (a, b, z), (c, d, top) = low, high
    return [
        (a, b, z - 0.2, c, b + wall, top + 0.2),
        (a, d - wall, z - 0.2, c, d, top + 0.2),
        (a, b + wall, z - 0.2, a + wall, d - wall, top + 0.2),
        (c - wall, b + wall, z - 0.2, c, d - wall, top + 0.2),
        (a + wall, b + wall, z - 0.2, c - wall, d - wall, z),
        (a + wall, b + wall, top, c - wall, d - wall, top + 0.2),
    ]


def _render(mesh: Mesh, folder: Path, **settings: object) -> np.ndarray:
    """(height, width, 3) float64 of a picture of 320 x 200 pixels."""
    path = folder / "picture.png"
    render_cutaway(mesh, path, 320, 200, elevation_deg=ELEVATION, **settings)  # type: ignore[arg-type]
    picture = np.asarray(Image.open(path), dtype=np.float64)
    assert picture.shape == (200, 320, 3)
    return picture


def _centre_of(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(column, row) of the middle of the pixels in which a pure colour dominates."""
    channel = int(np.argmax(colour))
    others = np.delete(picture, channel, axis=2).max(axis=2)
    rows, columns = np.nonzero(picture[..., channel] > 3 * others + 20)
    assert len(rows) > 20
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("heading", [90.0, 0.0, 215.0])
def test_things_lie_where_they_should_in_the_picture(heading: float, tmp_path: Path) -> None:
    mesh = _boxes([(FLOOR, GREY), *((box, colour) for colour, box in BLOCKS.items())])
    picture = _render(mesh, tmp_path, heading_deg=heading)
    centre = {colour: _centre_of(picture, colour) for colour in BLOCKS}
    # Seen along the heading: what lies ahead is higher up in the picture, what lies to the right is further right.
    ahead = np.array([np.cos(np.deg2rad(heading)), np.sin(np.deg2rad(heading))])
    right = np.array([ahead[1], -ahead[0]])

    def expected(colour: tuple[int, int, int]) -> np.ndarray:
        low, high = np.reshape(BLOCKS[colour], (2, 3))
        middle = (low + high)[:2] / 2
        return np.array([middle @ right, -(middle @ ahead) * np.sin(np.deg2rad(ELEVATION))])

    corners = np.array([[x, y] for x in (0, 10) for y in (0, 6)])
    shown = np.flatnonzero((picture < min(PAGE)).any(axis=(0, 2)))
    pixels_per_metre = (np.ptp(shown) + 1) / np.ptp(corners @ right)
    for first, second in [(RED, GREEN), (RED, BLUE), (GREEN, BLUE)]:
        np.testing.assert_allclose(
            centre[first] - centre[second], (expected(first) - expected(second)) * pixels_per_metre, atol=1.5
        )


def test_looking_along_y_the_picture_is_not_turned_round(tmp_path: Path) -> None:
    mesh = _boxes([(FLOOR, GREY), *((box, colour) for colour, box in BLOCKS.items())])
    picture = _render(mesh, tmp_path, heading_deg=90.0)
    red, green, blue = (_centre_of(picture, colour) for colour in (RED, GREEN, BLUE))
    assert red[0] > green[0] + 50  # larger x: further right
    assert red[1] < blue[1] - 20  # larger y: further up
    assert abs(red[1] - green[1]) < 2


def test_ceiling_is_cut_away_and_walls_are_black_where_cut(tmp_path: Path) -> None:
    boxes = [(box, GREY) for box in _room((0, 0, 0), (8, 5, 2.6), wall=0.3)]
    picture = _render(_boxes([*boxes, ((3.0, 2.0, 0.0, 5.0, 3.5, 0.5), RED)]), tmp_path, heading_deg=90.0)
    np.testing.assert_array_equal(picture[[0, 0, -1, -1], [0, -1, 0, -1]], np.broadcast_to(PAGE, (4, 3)))
    _centre_of(picture, RED)  # asserts that it is seen
    dark = picture.max(axis=2) < 60
    # The ring of wall sections is a frame: 8 x 5 m outside, 0.3 m wide, foreshortened along y.
    foreshortening = np.sin(np.deg2rad(ELEVATION))
    pixels_per_metre = np.ptp(np.nonzero(dark)[1]) / 8
    area = (8 * 5 - 7.4 * 4.4) * foreshortening * pixels_per_metre**2
    assert dark.sum() == pytest.approx(area, rel=0.15)


def test_an_open_mesh_has_no_sections_when_it_is_not_solid(tmp_path: Path) -> None:
    turned = _boxes([(FLOOR, GREY)])
    turned = Mesh(turned.vertices, turned.faces[:, ::-1].copy(), colours=turned.colours)
    middle = slice(90, 110), slice(150, 170)
    assert _render(turned, tmp_path)[middle].max() < 60
    assert _render(turned, tmp_path, solid=False)[middle].min() > 60


def test_storeys_stand_side_by_side_the_lowest_on_the_left(tmp_path: Path) -> None:
    boxes = [(box, GREY) for z in (0.0, 3.0) for box in _room((0, 0, z), (6, 6, z + 2.6), wall=0.2)]
    boxes += [((2.0, 2.0, 0.0, 4.0, 4.0, 0.4), BLUE), ((2.0, 2.0, 3.0, 4.0, 4.0, 3.4), RED)]
    picture = _render(_boxes(boxes), tmp_path)
    assert _centre_of(picture, BLUE)[0] < 140
    assert _centre_of(picture, RED)[0] > 180


def test_storeys_are_floors_with_headroom_not_tables_nor_roofs() -> None:
    boxes = [box for z in (0.0, 3.0, 6.0) for box in _room((0, 0, z), (12, 8, z + 2.6), wall=0.2)]
    boxes += [(2.0, 2.0, 3.0, 7.0, 6.0, 3.7)]  # a large table
    storeys = find_storeys(_boxes([(box, GREY) for box in boxes]))
    np.testing.assert_allclose([storey.floor_z for storey in storeys], [0.0, 3.0, 6.0], atol=0.1)
    for storey in storeys:
        assert storey.bottom_z < storey.floor_z < storey.cut_z < storey.floor_z + 2.6
    assert storeys[0].cut_z < storeys[1].bottom_z


def test_the_guessed_top_of_a_ceiling_is_no_floor() -> None:
    """A gallery in a hall: a metre over the hall's ceiling, whose top is larger than it, and which nobody saw."""
    ceiling, gallery = (0.0, 0.0, 2.8, 12.0, 8.0, 3.4), (0.0, 0.0, 4.3, 12.0, 4.0, 4.4)
    steps = [z + 0.4 * step for z in (0.0, 4.4) for step in range(7)]  # faces count where their middle is
    walls = [(0.0, y, z, 12.0, y + 0.2, z + 0.4) for z in steps for y in (0.0, 7.8)]
    boxes = [(0.0, 0.0, -0.3, 12.0, 8.0, 0.0), ceiling, gallery, *walls, (0.0, 0.0, 7.2, 12.0, 8.0, 7.4)]
    mesh = _boxes([(box, GREY) for box in boxes])
    seen = np.abs(mesh.vertices[:, 2] - 3.4) > 1e-6  # all but the top of the ceiling
    floors = [[storey.floor_z for storey in find_storeys(each)] for each in (mesh, _with_observed(mesh, seen))]
    np.testing.assert_allclose(floors[0], [0.0, 3.4], atol=0.1)
    np.testing.assert_allclose(floors[1], [0.0, 4.4], atol=0.1)


def _with_observed(mesh: Mesh, seen: np.ndarray) -> Mesh:
    return replace(mesh, attributes={"observed": seen.astype(np.uint8)})


def test_walls_are_cut_below_a_low_ceiling() -> None:
    boxes = _room((0, 0, 0), (8, 5, 2.05), wall=0.2)
    (storey,) = find_storeys(_boxes([(box, GREY) for box in boxes] + [((0, 0, 0, 0.1, 0.1, 3.0), GREY)]))
    assert 1.8 < storey.cut_z < 2.05


def test_walls_of_a_high_hall_are_cut_at_a_share_of_its_height() -> None:
    (storey,) = find_storeys(_boxes([(box, GREY) for box in _room((0, 0, 0), (12, 8, 5.0), wall=0.2)]))
    assert 2.8 < storey.cut_z < 3.1


def test_walls_without_a_ceiling_are_cut_at_two_metres() -> None:
    (storey,) = find_storeys(_boxes([(box, GREY) for box in _room((0, 0, 0), (12, 8, 5.0), wall=0.2)[:-1]]))
    assert 1.9 < storey.cut_z < 2.1


def test_a_court_is_shown_whole_and_a_building_around_one_is_cut() -> None:
    walls = [(0, 0, 0, 20, 0.4, 9), (0, 15.6, 0, 20, 16, 9), (0, 0, 0, 0.4, 16, 9), (19.6, 0, 0, 20, 16, 9)]
    court = [(0, 0, -0.3, 20, 16, 0.0), *walls, (6, 5, 3.0, 9, 8, 6.0), (6, 5, 0.0, 9, 8, 0.5)]  # a tree above a bed
    (storey,) = find_storeys(_boxes([(box, GREY) for box in court]))
    assert storey.cut_z > 9 and storey.bottom_z < -0.3
    rooms = [box for z in (0.0, 3.0, 6.0) for box in _room((0, 0, z), (12, 8, z + 2.6), wall=0.2)]
    beside = [(12.0, 0.0, -0.2, 16.0, 8.0, 0.0)]  # a third of the ground
    assert len(find_storeys(_boxes([(box, GREY) for box in [*rooms, *beside]]))) == 3


def test_columns_of_parts_merge_to_those_of_the_whole() -> None:
    mesh = _boxes([(box, GREY) for box in _room((-3, -2, 0), (12, 8, 5.0), wall=0.2)])
    parts = [Mesh(mesh.vertices, mesh.faces[start::3]) for start in range(3)]
    np.testing.assert_array_equal(merged_columns([columns_of(part) for part in parts]), columns_of(mesh))
    assert len(columns_of(Mesh(mesh.vertices, mesh.faces[:0]))) == 0 and not is_open_ground(merged_columns([]))


def test_furniture_is_shown_whole() -> None:
    (storey,) = find_storeys(_boxes([((0, 0, 0, 1, 1, 0.7), GREY)]))
    assert storey.bottom_z < 0
    assert storey.cut_z > 0.7


def test_camera_axes_are_orthonormal_and_not_mirrored() -> None:
    for heading in (0.0, 77.0, 200.0):
        camera = ParallelCamera.looking_down(heading, 50.0)
        axes = np.stack([camera.right, camera.up, -camera.forward])
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(axes) == pytest.approx(1)
        assert camera.up[2] > 0
        assert camera.right[2] == pytest.approx(0)


def test_pixels_and_rays_of_a_panel_agree() -> None:
    (left, right) = lay_out([np.array([[0.0, 0], [4, 2]]), np.array([[10.0, 0], [13, 3]])], 200, 100, 5)
    for panel in (left, right):
        plane = subpixel_centres(panel, 2)
        pixels = panel.pixels(plane[0, 0])  # the first subpixel: a quarter into the first pixel
        np.testing.assert_allclose(pixels, [panel.left + 0.25, panel.top + 0.25])
        np.testing.assert_allclose(panel.pixels(panel.top_left), [panel.left, panel.top])
    assert left.metres_per_pixel == right.metres_per_pixel
    assert left.left + left.width <= right.left


@pytest.mark.parametrize("turn_deg", [0.0, 40.0])
def test_heading_is_off_the_walls_and_shows_the_long_side_across(turn_deg: float) -> None:
    mesh = _boxes([((0, 0, 0, 20, 6, 3), GREY)])
    turn = np.deg2rad(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    heading = heading_off_walls(Mesh(mesh.vertices @ rotation.T, mesh.faces))
    off = (heading - turn_deg) % 90
    assert min(off, 90 - off) == pytest.approx(25, abs=0.5)
    assert 0 <= heading <= 180
    assert abs(heading - turn_deg - 90) < 45  # across, not along the long side


def test_an_empty_mesh_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a mesh with faces"):
        render_cutaway(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []


def test_storeys_can_be_given(tmp_path: Path) -> None:
    mesh = _boxes([(FLOOR, GREY), ((4.0, 2.0, 0.0, 6.0, 4.0, 2.0), BLUE), ((4.0, 2.0, 2.0, 6.0, 4.0, 3.0), RED)])
    picture = _render(mesh, tmp_path, storeys=(Storey(0.0, -0.3, 10.0),))
    assert _centre_of(picture, RED)[1] < _centre_of(picture, BLUE)[1]


def test_rough_and_sloping_meshes_have_storeys_too(rng: np.random.Generator) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=5.0)
    for roughness in (0.0, 0.05, 0.5):
        vertices = sphere.vertices + rng.normal(scale=roughness, size=sphere.vertices.shape)
        storeys = find_storeys(Mesh(np.array(vertices), np.array(sphere.faces, dtype=np.int64)))
        assert 1 <= len(storeys) <= 4
        assert all(storey.bottom_z < storey.cut_z for storey in storeys)


def _framed(mesh: Mesh) -> np.ndarray:
    """(2, 2) what is shown of a mesh of one storey, looking straight down, x to the right."""
    framing = Framing.around(mesh.vertices, *ends_of(mesh), np.array([[-9.0, 9.0]]), np.eye(3)[:2])
    halves = [Mesh(mesh.vertices, half) for half in np.array_split(mesh.faces, 2)]
    return framing.boxes([framing.measure(half) for half in halves])[0]


def test_a_stray_bit_metres_away_is_outside_the_frame_and_a_second_house_is_not() -> None:
    house, bit, shed = (0.0, 0, 0, 10, 6, 3), (15.0, 2, 0, 15.5, 2.5, 1), (16.0, 0, 0, 19, 3, 2)
    np.testing.assert_allclose(_framed(_boxes([(house, GREY)])), [[0, 0], [10, 6]], atol=1e-9)
    np.testing.assert_allclose(_framed(_boxes([(house, GREY), (bit, GREY)])), [[0, 0], [10, 6]], atol=0.11)
    np.testing.assert_allclose(_framed(_boxes([(house, GREY), (shed, GREY)])), [[0, 0], [19, 6]], atol=1e-9)
    near = (10.5, 2.0, 0.0, 11.0, 2.5, 1.0)
    np.testing.assert_allclose(_framed(_boxes([(house, GREY), (near, GREY)])), [[0, 0], [11, 6]], atol=1e-9)


def test_a_fitted_picture_is_as_high_as_what_it_shows_and_says_what_that_is(tmp_path: Path) -> None:
    path, mesh = tmp_path / "fitted.png", _boxes([((0.0, 0, 0, 20, 2, 1), RED)])
    render_cutaway(mesh, path, 640, 400, heading_deg=90.0, fit=True)
    plain = np.asarray(Image.open(path))
    assert plain.shape[1] == 640 and plain.shape[0] < 380
    shown = np.flatnonzero((plain < min(PAGE)).any(axis=(0, 2)))
    assert shown[0] < 40 and shown[-1] > 600
    render_cutaway(mesh, path, 640, 400, heading_deg=90.0, fit=True, caption=["a beam, 20 m", "of red"])
    worded = np.asarray(Image.open(path))
    np.testing.assert_array_equal(worded[: len(plain)], plain)
    strip = worded[len(plain) :]
    dark = np.flatnonzero((strip[:, : 640 // 2] < 60).all(axis=2).any(axis=0))
    assert dark[0] == 24 and (strip < 60).all(axis=2).any()
    bar = int((strip[:, :120] < 60).all(axis=2).sum(axis=1).max())  # the longest row of dark pixels
    assert bar == pytest.approx(2 * (shown[-1] - shown[0] + 1) / 20, abs=3)  # 2 m of a beam of 20 m
