"""Pictures of models: what is near hides what is far, and a slice shows inside and outside where they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.layout import ModelFolder
from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples
from sparse_convonet.data.convonet.survey import ModelData
from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.splats import draw_points
from sparse_convonet.report.contact_sheet import SheetEntry, draw_cloud, draw_slice, write_contact_sheet

CAMERA = ParallelCamera.looking_down(90.0, 45.0)
RED, BLUE = np.array([255, 0, 0], dtype=np.uint8), np.array([0, 0, 255], dtype=np.uint8)
MODEL = ModelFolder("a", "m", Path("m"))


def plane(count: int, height: float, side: float, rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([rng.uniform(-side / 2, side / 2, (count, 2)), np.full((count, 1), height)], axis=1)


def is_red(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 0] > 60) & (picture[..., 1:].max(axis=2) < 20)


def is_blue(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 2] > 60) & (picture[..., :2].max(axis=2) < 20)


def ball(radius: float, rng: np.random.Generator, count: int = 20_000, labels: bool = False) -> ModelData:
    """A ball about the middle of the cube with queries throughout."""
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    queries = rng.uniform(-0.55, 0.55, (60_000, 3))
    inside = (queries**2).sum(axis=1) < radius**2
    classes = np.where(normals[:, 1] > 0, 0, -1) if labels else None
    return ModelData(MODEL, SurfaceSamples(radius * normals, normals, classes), OccupancySamples(queries, inside), None)


def box_surface(low: np.ndarray, high: np.ndarray, rng: np.random.Generator, count: int = 4000) -> np.ndarray:
    points = rng.uniform(low, high, (6 * count, 3))
    for side in range(6):
        points[side * count : (side + 1) * count, side % 3] = (low, high)[side // 3][side % 3]
    return points


def box(low: np.ndarray, high: np.ndarray, wall: float, rng: np.random.Generator) -> ModelData:
    """A box, y up, with walls of that thickness, hollow within."""
    queries = rng.uniform(-0.55, 0.55, (60_000, 3))
    solid = ((queries > low) & (queries < high)).all(axis=1)
    hollow = ((queries > low + wall) & (queries < high - wall)).all(axis=1)
    occupancy = OccupancySamples(queries, np.logical_and(solid, np.logical_not(hollow)))
    return ModelData(MODEL, SurfaceSamples(box_surface(low, high, rng)), occupancy, None)


def test_nothing_behind_a_surface_shows_through_it(rng: np.random.Generator) -> None:
    near, far = plane(8000, 0.5, 2.0, rng), plane(8000, 0.0, 1.0, rng) + (0, 0.5, 0)  # straight behind it
    colours = np.repeat([RED, BLUE], 8000, axis=0)
    picture = draw_points(np.concatenate([near, far]), colours, None, CAMERA, 200, 200).picture
    assert is_red(picture).sum() > 10_000 and not is_blue(picture).any()
    behind = draw_points(np.concatenate([near, far]), colours[::-1], None, CAMERA, 200, 200).picture
    assert not is_red(behind).any()


def test_a_surface_is_covered_without_holes_whatever_the_number_of_points(rng: np.random.Generator) -> None:
    for count in (3000, 30_000):
        points = plane(count, 0.0, 1.0, rng)
        picture = draw_points(points, np.tile(RED, (count, 1)), None, CAMERA, 200, 200).picture
        middle = picture[70:130, 40:160]
        assert (middle.min(axis=2) < 128).mean() > 0.999


def test_the_picture_is_that_of_the_camera(rng: np.random.Generator) -> None:
    """Right is x, up is y and z, and everything is within the frame."""
    points = np.concatenate([plane(2000, 0.0, 1.0, rng), plane(400, 0.0, 0.2, rng) + (0.4, 0.4, 0.001)])
    colours = np.repeat([RED, BLUE], (2000, 400), axis=0)
    picture = draw_points(points, colours, None, CAMERA, 300, 200).picture
    rows, columns = np.nonzero(is_blue(picture))
    assert columns.mean() > 180 and rows.mean() < 70
    edge = np.concatenate([picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3), picture[:, :3].reshape(-1, 3)])
    assert (edge == 255).all()


def test_surfaces_seen_from_behind_are_left_out(rng: np.random.Generator) -> None:
    floor, lid = plane(4000, 0.0, 1.0, rng), plane(4000, 0.5, 1.0, rng)
    colours = np.repeat([RED, BLUE], 4000, axis=0)
    normals = np.repeat([[0.0, 0, 1], [0, 0, -1]], 4000, axis=0)  # the lid faces down, into the room
    picture = draw_points(np.concatenate([floor, lid]), colours, normals, CAMERA, 200, 200).picture
    assert is_red(picture).sum() > 5000 and not is_blue(picture).any()
    picture = draw_points(lid, colours[4000:], normals[4000:], CAMERA, 200, 200).picture
    assert is_blue(picture).sum() > 5000  # all are shown where none faces the viewer


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_or_equal_points_are_drawn(count: int) -> None:
    for points in (np.zeros((count, 3)), np.eye(9)[:count, :3] * 5):
        picture = draw_points(points, np.tile(RED, (count, 1)), None, CAMERA, 60, 50).picture
        assert picture.shape == (50, 60, 3) and (picture.min(axis=2) < 200).any()


def test_a_slice_of_a_ball_is_a_disc_of_its_area(rng: np.random.Generator) -> None:
    data, size = ball(0.4, rng), 300
    picture = draw_slice(replace(data, surface=replace(data.surface, normals=None)), size).astype(int)
    dark, light = picture.max(axis=2) < 100, picture.min(axis=2) > 200
    dots = ~dark & ~light
    level = 0.4 * (0.3 * 2 - 1)  # three tenths of the height above the lowest point
    radius = np.sqrt(0.4**2 - level**2) * size / (0.8 * 1.12)
    assert dark.sum() == pytest.approx(np.pi * radius**2, rel=0.05)
    rows, columns = np.nonzero(dots)
    away = np.hypot(rows + 0.5 - size / 2, columns + 0.5 - size / 2)
    assert len(away) > 100 and np.abs(away - radius).max() < 8
    assert dark[size // 2, size // 2] and light[20, 20]


def test_a_slice_is_seen_from_above_with_x_to_the_right(rng: np.random.Generator) -> None:
    """Up in the picture is the world's y, which is -z in the cube."""
    queries = rng.uniform(-0.5, 0.5, (40_000, 3))
    inside = (queries[:, 0] > 0.2) & (queries[:, 2] < -0.2)
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
    picture = draw_slice(ModelData(MODEL, SurfaceSamples(corners), OccupancySamples(queries, inside), None), 200)
    rows, columns = np.nonzero(picture.max(axis=2) < 100)
    assert rows.max() < 80 and columns.min() > 120 and len(rows) > 1500


def test_a_slice_without_queries_at_its_height_shows_neither_inside_nor_outside(rng: np.random.Generator) -> None:
    data = ball(0.4, rng)
    assert (draw_slice(replace(data, occupancy=None), 100) == 255).all()
    far = OccupancySamples(np.full((5, 3), 0.5), np.ones(5, dtype=bool))
    assert not (draw_slice(replace(data, occupancy=far), 100).max(axis=2) < 100).any()


def test_a_room_is_drawn_without_its_roof_and_a_block_with_it(rng: np.random.Generator) -> None:
    low, high = np.array([-0.5, -0.5, -0.4]), np.array([0.5, -0.1, 0.4])
    assert draw_cloud(box(low, high, 0.02, rng), 200, 150, rng)[1]
    assert not draw_cloud(box(low, high, 0.5, rng), 200, 150, rng)[1]  # solid
    tower = np.array([-0.2, -0.5, -0.2]), np.array([0.2, 0.5, 0.2])
    assert draw_cloud(box(*tower, 0.02, rng), 200, 150, rng)[1]
    assert not draw_cloud(replace(box(*tower, 0.02, rng), occupancy=None), 200, 150, rng)[1]
    assert not draw_cloud(ball(0.4, rng), 200, 150, rng)[1]
    room = box(low, high, 0.02, rng)
    points = room.surface.points_unit
    open_sides = replace(room, surface=SurfaceSamples(points[np.isin(points[:, 1], (low[1], high[1]))]))
    assert not draw_cloud(open_sides, 200, 150, rng)[1]  # a table lamp


def test_points_have_the_colour_of_their_class_or_of_their_height(rng: np.random.Generator) -> None:
    labelled, _ = draw_cloud(ball(0.4, rng, labels=True), 200, 200, rng)
    top, bottom = labelled[50, 100].astype(int), labelled[170, 100].astype(int)
    assert top[2] > top[0] + 40 and np.ptp(bottom) < 20  # the first class is blue, planes are grey
    by_height, _ = draw_cloud(ball(0.4, rng), 200, 200, rng)
    top, bottom = by_height[25, 100].astype(int), by_height[170, 100].astype(int)
    assert top[0] > top[2] + 40 and bottom[2] > bottom[0]  # yellow above blue


def test_a_sheet_has_a_panel_for_each_model_and_depends_on_the_seed_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain, labelled = ball(0.4, rng), ball(0.3, rng, labels=True)
    metric = replace(plain, frame=UnitFrame(np.zeros(3), 6.0))
    bare = ModelData(MODEL, SurfaceSamples(np.zeros((1, 3), dtype=np.float16)), None, None)
    entries = [
        SheetEntry(data, f"a / {name}" * 30, "remark")
        for name, data in (("plain", plain), ("labelled", labelled), ("metric", metric), ("bare", bare))
    ]
    names = {0: "upper", -1: "a long name of a class that takes half of the width " * 2}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_contact_sheet(tmp_path / f"{name}.png", "title", entries, names, np.random.default_rng(seed))
    first, again, other = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert first == again
    assert other[:8] == first[:8] == b"\x89PNG\r\n\x1a\n"
    write_contact_sheet(tmp_path / "one.png", "title", entries[3:], names, rng)
    with Image.open(tmp_path / "a.png") as whole, Image.open(tmp_path / "one.png") as one:
        assert whole.size[0] > 2.8 * one.size[0] and one.size[1] < whole.size[1]
        pixels = np.asarray(whole)
    blank = (pixels == 255).all(axis=2)
    assert blank[:, :18].all() and not blank[58:-80].all(axis=1).all()
