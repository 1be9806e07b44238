from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from sparse_convonet.picture import raster, shading
from sparse_convonet.picture.camera import Panel, ParallelCamera, lay_out
from sparse_convonet.picture.cutaway import render_cutaway
from sparse_convonet.picture.raster import NOTHING, SECTION, SURFACE, Projection, View, look
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.structures import Mesh
from tests.oracles.ray_picture import RayScene

OVERSAMPLING = 2
STOREY = Storey(floor_z=0.0, bottom_z=-0.3, cut_z=1.5)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _merged(parts: list[trimesh.Trimesh]) -> Mesh:
    whole = trimesh.util.concatenate(parts)
    return Mesh(np.array(whole.vertices), np.array(whole.faces, dtype=np.int64))


def _box(*bounds: float) -> trimesh.Trimesh:
    return trimesh.creation.box(bounds=np.reshape(bounds, (2, 3)))


def _room() -> Mesh:
    """Walls of 20, 10 and 2 cm above the cut, a table with thin top, a floor."""
    walls = [(0, 0, 0, 5, 0.2, 2.5), (0, 3.9, 0, 5, 4, 2.5), (4.98, 0.2, 0, 5, 3.9, 2.5), (2, 0.2, 0, 2.02, 2, 2.5)]
    table = [(3, 2, 0.7, 4.5, 3, 0.72), (3, 2, 0, 3.05, 2.05, 0.7), (4.4, 2.9, 0, 4.5, 3, 0.7)]
    return _merged([_box(*bounds) for bounds in [*walls, *table, (0, 0, -0.2, 5, 4, 0)]])


def _rough_sphere(rng: np.random.Generator) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=1.5)
    return Mesh(sphere.vertices + rng.normal(scale=0.03, size=sphere.vertices.shape), np.array(sphere.faces, np.int64))


def _panel(mesh: Mesh, camera: ParallelCamera, width: int = 160, height: int = 120) -> Panel:
    plane = camera.project(mesh.vertices)
    return lay_out([np.stack([plane.min(axis=0), plane.max(axis=0)])], width, height, 3)[0]


def _view(mesh: Mesh, camera: ParallelCamera, panel: Panel, storey: Storey, solid: bool = True) -> tuple[View, float]:
    """A view, and the height from which its heights count."""
    origin_plane, origin_z = panel.centre + np.array([0.3, -1.7]), storey.floor_z + 0.1
    subpixel_m = panel.metres_per_pixel / OVERSAMPLING
    projection = Projection.of(mesh, camera, origin_plane, origin_z, subpixel_m)
    shape = (panel.height * OVERSAMPLING, panel.width * OVERSAMPLING)
    low, high = storey.bottom_z - origin_z, storey.cut_z - origin_z
    return look(projection, projection.corner(panel), shape, low, high, solid), origin_z


@pytest.mark.parametrize("scene", ["room", "sphere"])
@pytest.mark.parametrize("heading", [65.0, 205.0])
def test_every_subpixel_shows_what_a_ray_meets_but_for_some_on_edges(
    scene: str, heading: float, rng: np.random.Generator
) -> None:
    mesh = _room() if scene == "room" else _rough_sphere(rng)
    camera = ParallelCamera.looking_down(heading, 58.0)
    panel = _panel(mesh, camera)
    view, origin_z = _view(mesh, camera, panel, STOREY)
    rays = RayScene(mesh).look(camera, panel, STOREY, OVERSAMPLING)
    expected = np.where(rays.seen, np.where(rays.behind, SECTION, SURFACE), NOTHING)
    for kind in (NOTHING, SURFACE, SECTION):
        assert (expected == kind).sum() > 500
    assert (view.shown != expected).mean() < 1e-3
    both = (view.shown == expected) & (expected != NOTHING)
    # Rounded to 1 / 256 subpixel, a border moves, and with it steep faces rise.
    far_off = np.abs(view.height + origin_z - rays.position[..., 2])[both] > 0.05 * panel.metres_per_pixel
    assert far_off.mean() < 2e-3
    assert (view.face != rays.face)[both].mean() < 5e-3


def test_where_the_view_leaves_the_solid_is_the_highest_face_seen_from_behind() -> None:
    mesh = _merged([_box(0, 0, 0.5, 1, 1, 0.8), _box(0.0, 0.0, 0.0, 1, 1, 0.2)])
    camera = ParallelCamera.looking_down(90.0, 89.9)
    view, origin_z = _view(mesh, camera, _panel(mesh, camera), Storey(0.0, -0.1, 1.0))
    middle = view.shown.shape[0] // 2, view.shown.shape[1] // 2
    assert view.height[middle] + origin_z == pytest.approx(0.8, abs=1e-3)
    assert view.exit_height[middle] + origin_z == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("size", [7, 150, 400])  # faces larger and smaller than subpixels
def test_a_sheet_of_uneven_faces_leaves_no_subpixel_out(size: int, rng: np.random.Generator) -> None:
    corners = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).reshape(-1, 2) / (size - 1)
    inside = ((corners > 0) & (corners < 1)).all(axis=1)
    corners[inside] += rng.uniform(-0.3, 0.3, (inside.sum(), 2)) / (size - 1)
    cells = (np.arange(size - 1)[:, None] * size + np.arange(size - 1)).reshape(-1)
    quads = np.stack([cells, cells + 1, cells + size + 1, cells + size], axis=1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    mesh = Mesh(np.column_stack([corners, rng.uniform(0, 1e-3, len(corners))]), faces)
    camera = ParallelCamera.looking_down(90.0, 90.0)
    panel = Panel(0, 0, 100, 80, np.array([0.5, 0.5]), 0.0099)  # a little less than the sheet
    view, _ = _view(mesh, camera, panel, Storey(0.0, -1.0, 1.0))
    assert (view.shown == SURFACE).all()
    turned, _ = _view(Mesh(mesh.vertices, faces[:, ::-1].copy()), camera, panel, Storey(0.0, -1.0, 1.0))
    assert (turned.shown == SECTION).all()
    np.testing.assert_array_equal(turned.height, view.height)
    open_mesh, _ = _view(Mesh(mesh.vertices, faces[:, ::-1].copy()), camera, panel, Storey(0.0, -1.0, 1.0), solid=False)
    assert (open_mesh.shown == SURFACE).all()


def test_faces_reach_to_their_borders_where_these_run_through_subpixel_centres() -> None:
    corners = np.stack(np.meshgrid(np.arange(9), np.arange(7)), axis=-1).reshape(-1, 2)
    cells = (np.arange(6)[:, None] * 9 + np.arange(8)).reshape(-1)
    quads = np.stack([cells, cells + 1, cells + 10, cells + 9], axis=1)
    mesh = Mesh(np.column_stack([corners, np.zeros(63)]), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))
    panel = Panel(0, 0, 10, 8, np.array([4.5, 3.5]), 2.0)  # subpixel centres at whole metres, from -5 and -4
    view, _ = _view(mesh, ParallelCamera.looking_down(90.0, 90.0), panel, STOREY)
    assert view.shown.shape == (16, 20)
    expected = np.zeros((16, 20), dtype=np.uint8)
    expected[-11:-4, 5:14] = SURFACE
    np.testing.assert_array_equal(view.shown, expected)


def test_of_faces_in_one_place_the_first_seen_from_outside_is_shown() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    inward, outward = [0, 2, 1], [0, 1, 2]
    camera = ParallelCamera.looking_down(90.0, 60.0)
    for faces, first in [([inward, outward, outward], 1), ([outward, inward, outward], 0), ([inward, inward], 0)]:
        mesh = Mesh(vertices, np.array(faces))
        view, _ = _view(mesh, camera, _panel(mesh, camera), STOREY)
        assert set(np.unique(view.face)) == {-1, first}


def test_vertices_at_a_great_distance_do_not_disturb_the_picture() -> None:
    room = _room()
    camera = ParallelCamera.looking_down(65.0, 58.0)
    panel = _panel(room, camera)
    # So far that their places, kept in 32 bits, would come round to the middle of the panel.
    round_m = 2.0**32 / 256 * panel.metres_per_pixel / OVERSAMPLING
    far = room.vertices.mean(axis=0) + round_m * camera.right + np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    far[:, 2] = 1.45  # just below the cut
    faces = np.concatenate([room.faces, len(room.vertices) + np.array([[0, 1, 2]])])
    crowded = Mesh(np.concatenate([room.vertices, far]), faces)
    for shown, expected in zip(
        vars(_view(crowded, camera, panel, STOREY)[0]).values(),
        vars(_view(room, camera, panel, STOREY)[0]).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(shown, expected)


def test_a_picture_far_from_the_origin_is_the_same(tmp_path: Path) -> None:
    mesh, pictures = _room(), []
    for shift in (np.zeros(3), np.array([4e5, 5e6, 300.0])):
        storey = Storey(shift[2], shift[2] - 0.3, shift[2] + 1.5)
        moved = Mesh(mesh.vertices + shift, mesh.faces)
        render_cutaway(moved, tmp_path / "picture.png", 160, 120, heading_deg=65.0, storeys=(storey,))
        pictures.append(_open(tmp_path / "picture.png"))
    assert (pictures[0] != pictures[1]).any(axis=2).mean() < 0.01


def test_pictures_do_not_depend_on_the_number_of_threads_nor_of_parts(
    threads: None, tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mesh in (_room(), _rough_sphere(rng)):
        contents = set()
        for count, parts in [(1, 16), (2, 16), (5, 16), (1, 1), (2, 7)]:
            torch.set_num_threads(count)
            monkeypatch.setattr(raster, "_PARTS", parts)
            monkeypatch.setattr(shading, "_PARTS", parts)
            render_cutaway(mesh, tmp_path / "picture.png", 160, 121)
            contents.add((tmp_path / "picture.png").read_bytes())
        assert len(contents) == 1


def _open(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)
