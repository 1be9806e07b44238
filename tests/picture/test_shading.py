from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.picture.camera import Panel, ParallelCamera
from sparse_convonet.picture.raster import SURFACE, Projection, View, look
from sparse_convonet.picture.shading import OVERSAMPLING, shade
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.structures import Mesh
from tests.oracles.ray_picture import RayScene

STOREY = Storey(floor_z=0.0, bottom_z=-0.5, cut_z=1.5)
CAMERA = ParallelCamera.looking_down(70.0, 58.0)
SUN = np.array([-0.5, 0.75, 0.45]) / np.linalg.norm([-0.5, 0.75, 0.45])  # right, up, towards the viewer
TOWARDS_SUN = SUN @ np.stack([CAMERA.right, CAMERA.up, -CAMERA.forward])
FLOOR_COLOUR, UPRIGHT_COLOUR = np.array([0.93, 0.88, 0.79]), np.array([0.84, 0.87, 0.91])
REACH_M = 0.8


def _boxes(*bounds: tuple[float, ...]) -> Mesh:
    whole = trimesh.util.concatenate([trimesh.creation.box(bounds=np.reshape(each, (2, 3))) for each in bounds])
    return Mesh(np.array(whole.vertices), np.array(whole.faces, dtype=np.int64))


def _picture(mesh: Mesh, panel: Panel) -> tuple[np.ndarray, View]:
    """(height, width, 3) float64 from 0 to 1, and what its subpixels show."""
    projection = Projection.of(mesh, CAMERA, panel.centre, 0.0, panel.metres_per_pixel / OVERSAMPLING)
    shape = (panel.height * OVERSAMPLING, panel.width * OVERSAMPLING)
    corner = projection.corner(panel)
    view = look(projection, corner, shape, STOREY.bottom_z, STOREY.cut_z, solid=True)
    picture = np.zeros((panel.height, panel.width, 3), dtype=np.uint8)
    shade(mesh, projection, CAMERA, corner, view, STOREY.floor_z, STOREY.cut_z, picture)
    return picture / 255.0, view


def _light(normal: np.ndarray, ambient: float = 1.0) -> float:
    headlight, sun = max(-normal @ CAMERA.forward, 0), max(normal @ TOWARDS_SUN, 0)
    return min(0.55 * ambient + 0.25 * headlight + 0.30 * sun, 1.0)


def _around(place: tuple[float, float, float], size: int = 40, metres_per_pixel: float = 0.02) -> Panel:
    return Panel(0, 0, size, size, CAMERA.project(np.array([place]))[0], metres_per_pixel)


def test_an_open_floor_has_its_colour_under_the_full_light() -> None:
    picture, _ = _picture(_boxes((-5, -5, -0.2, 5, 5, 0)), _around((0, 0, 0)))
    expected = FLOOR_COLOUR * _light(np.array([0, 0, 1.0]))
    np.testing.assert_allclose(picture, np.broadcast_to(expected, picture.shape), atol=0.5 / 255 + 1e-9)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("slope_deg", [-50.0, -20.0, 35.0, 60.0])
def test_an_open_slope_keeps_no_light_from_itself(slope_deg: float, axis: int) -> None:
    turn = trimesh.transformations.rotation_matrix(np.deg2rad(slope_deg), np.eye(3)[axis])[:3, :3]
    plate = _boxes((-5, -5, -0.2, 5, 5, 0))
    white = np.full((len(plate.vertices), 3), 255, dtype=np.uint8)
    picture, view = _picture(Mesh(plate.vertices @ turn.T, plate.faces, colours=white), _around((0, 0, 0.2), 20))
    plain = (view.shown == SURFACE).reshape(20, OVERSAMPLING, 20, OVERSAMPLING).all(axis=(1, 3))
    assert plain.sum() > 50
    np.testing.assert_allclose(picture[plain], _light(turn @ [0, 0, 1]), atol=1.5 / 255)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_vertex_normals_and_colours_are_interpolated(slope: float) -> None:
    """On a plane, where the normals' components and the colours grow evenly, both are known everywhere."""
    vertices = np.array([[-2.0, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]])
    normals = np.column_stack([slope * vertices[:, 0], slope * vertices[:, 1], np.ones(4)])
    colours = np.array([[0, 0, 200], [240, 0, 200], [240, 200, 200], [0, 200, 200]], dtype=np.uint8)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), normals.astype(np.float32), colours)
    panel = _around((0, 0, 0), metres_per_pixel=0.05)
    picture, _ = _picture(mesh, panel)
    columns, rows = np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5)
    plane = panel.top_left + np.stack([columns, -rows], axis=-1) * panel.metres_per_pixel
    place = plane @ np.stack([CAMERA.right, CAMERA.up])
    place = place - (place[..., 2] / CAMERA.forward[2])[..., None] * CAMERA.forward
    normal = np.concatenate([slope * place[..., :2], np.ones((40, 40, 1))], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.apply_along_axis(_light, -1, normal)
    colour = np.stack([(place[..., 0] + 2) * 60, (place[..., 1] + 2) * 50, np.full((40, 40), 200.0)], axis=-1) / 255
    error = np.abs(picture - colour * light[..., None])
    # With turned normals some rays run below the flat face; they start too near to it to be lost more than a little.
    assert error.max() < 2 / 255 if slope == 0 else np.median(error) < 2 / 255


def test_normals_that_cancel_out_give_way_to_that_of_the_face() -> None:
    floor = _boxes((-5, -5, -0.2, 5, 5, 0))
    plain, _ = _picture(floor, _around((0, 0, 0)))
    zero = Mesh(floor.vertices, floor.faces, np.zeros((len(floor.vertices), 3), dtype=np.float32))
    np.testing.assert_array_equal(_picture(zero, _around((0, 0, 0)))[0], plain)


ROOM = _boxes(
    (-3, -3, -0.2, 3, 3, 0),
    (-3, 1.0, 0, 3, 1.2, 2.5),  # behind, seen from the front
    (1.5, -3, 0, 1.6, 1.0, 2.5),  # beside
    (-2, -2.0, 0, -0.5, -1.0, 0.5),  # a chest
    (-0.2, -2.0, 0.7, 1.0, -1.0, 0.75),  # a table top in the air
)


def _ambient(panel: Panel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ambient light of the pixels of the room that show nothing but floor: drawn, by rays; and which pixels."""
    picture, view = _picture(ROOM, panel)
    rays = RayScene(ROOM).look(CAMERA, panel, STOREY, OVERSAMPLING)
    share = RayScene(ROOM).open_share(rays, STOREY, REACH_M, 64, np.random.default_rng(5))
    level = (view.shown == SURFACE) & (np.abs(view.height) < 1e-3)

    def pixels(values: np.ndarray) -> np.ndarray:
        return values.reshape(panel.height, OVERSAMPLING, panel.width, OVERSAMPLING).transpose(0, 2, 1, 3)

    floor = np.asarray(pixels(level).all(axis=(2, 3)))
    light = (picture / FLOOR_COLOUR).mean(axis=2)
    drawn = (light - (_light(np.array([0, 0, 1.0])) - 0.55)) / 0.55
    return drawn, pixels(share).mean(axis=(2, 3)), floor


def test_floors_are_as_dark_near_walls_and_furniture_as_rays_say() -> None:
    drawn, by_rays, floor = _ambient(_around((-0.5, -0.7, 0), size=200, metres_per_pixel=0.025))
    assert floor.sum() > 10_000
    assert by_rays[floor].min() < 0.6 and (by_rays[floor] > 0.99).mean() > 0.2
    difference = (drawn - by_rays)[floor]
    assert np.abs(difference).mean() < 0.025
    assert np.quantile(np.abs(difference), 0.98) < 0.15
    assert np.corrcoef(drawn[floor], by_rays[floor])[0, 1] > 0.95
    # No halos: what is open to the rays is drawn open.
    assert np.quantile(drawn[floor & (by_rays > 0.99)], 0.02) > 0.93


def test_light_on_a_floor_grows_evenly_with_the_distance_from_a_wall() -> None:
    floor_and_wall = _boxes((-9, -9, -0.2, 9, 9, 0), (-9, 0, 0, 9, 0.2, 2.5))
    straight = ParallelCamera.looking_down(90.0, 58.0)
    panel = Panel(0, 0, 150, 100, straight.project(np.array([[0.0, -0.6, 0.0]]))[0], 0.02)
    projection = Projection.of(floor_and_wall, straight, panel.centre, 0.0, 0.01)
    view = look(projection, projection.corner(panel), (200, 300), -0.5, 1.5, solid=True)
    picture = np.zeros((100, 150, 3), dtype=np.uint8)
    shade(floor_and_wall, projection, straight, projection.corner(panel), view, 0.0, 1.5, picture)
    floor = (view.height[::2] == 0).all(axis=1) & (view.height[1::2] == 0).all(axis=1)
    rows = picture[floor].mean(axis=(1, 2))
    assert len(rows) > 50
    assert rows[-10:].min() - rows[4] > 20  # of 255
    assert np.diff(rows).min() > -1.0
    along = picture[floor][:, 25:-25].astype(np.float64)  # where every ray stays within the panel, or nearly
    assert along.std(axis=1).max() < 2.5  # no noise along the wall
