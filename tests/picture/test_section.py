"""The section: cut through rooms and not along a wall, walls dark, from the side, whatever way the building is turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from sparse_convonet.picture.section import render_section
from sparse_convonet.picture.shading import PAGE, SECTION_COLOUR
from sparse_convonet.structures import Mesh

LENGTH, WIDTH, HEIGHT, WALL = 10.0, 6.0, 3.0, 0.2


def house(turned_deg: float, *, long_wall: bool) -> Mesh:
    """A closed shell of one room, metres; long_wall: one that runs along it in the middle divides it."""
    size = np.array([LENGTH, WIDTH, HEIGHT])
    inside = trimesh.creation.box(size - 2 * WALL)
    inside.invert()
    parts = [trimesh.creation.box(size), inside]
    if long_wall:
        parts.append(trimesh.creation.box((LENGTH - 2 * WALL, 0.3, HEIGHT - 2 * WALL)))
    joined = trimesh.util.concatenate(parts)
    joined.apply_transform(trimesh.transformations.rotation_matrix(np.deg2rad(turned_deg), (0, 0, 1)))
    joined.apply_translation((40.0, -7.0, 12.0))
    return Mesh(np.asarray(joined.vertices), np.asarray(joined.faces, dtype=np.int64))


def areas_m2(path: Path) -> tuple[float, float]:
    """Of what is shown, and of what is cut; the longer side is as long as the house."""
    pixels = np.asarray(Image.open(path)).astype(int)
    shown = (np.abs(pixels - PAGE) > 2).any(axis=2)
    metres_per_pixel = LENGTH / np.count_nonzero(shown.any(axis=0))
    cut = (np.abs(pixels - 255 * np.array(SECTION_COLOUR)) < 12).all(axis=2)
    return shown.sum() * metres_per_pixel**2, cut.sum() * metres_per_pixel**2


@pytest.mark.parametrize("turned_deg", [0.0, 35.0])
@pytest.mark.parametrize("long_wall", [False, True], ids=["one room", "divided"])
def test_floor_ceiling_and_end_walls_are_cut_and_no_wall_along_the_house(
    tmp_path: Path, turned_deg: float, long_wall: bool
) -> None:
    render_section(house(turned_deg, long_wall=long_wall), tmp_path / "section.png")
    shown, cut = areas_m2(tmp_path / "section.png")
    assert shown == pytest.approx(LENGTH * HEIGHT, rel=0.02)
    assert cut == pytest.approx(LENGTH * HEIGHT - (LENGTH - 2 * WALL) * (HEIGHT - 2 * WALL), rel=0.05)


def test_small_things_and_flat_ones_have_a_section(tmp_path: Path) -> None:
    for size in ((0.05, 0.04, 0.026), (4.0, 0.01, 3.0), (3.0, 3.0, 0.01)):
        thing = trimesh.creation.box(size)
        mesh = Mesh(np.asarray(thing.vertices), np.asarray(thing.faces, dtype=np.int64))
        render_section(mesh, tmp_path / "section.png")
        pixels = np.asarray(Image.open(tmp_path / "section.png")).astype(int)
        assert (np.abs(pixels - 255 * np.array(SECTION_COLOUR)) < 12).all(axis=2).mean() > 0.05


def test_what_stands_up_stands_up_in_the_picture(tmp_path: Path) -> None:
    wall = trimesh.creation.box((0.3, 6.0, 2.0)).apply_translation((4.0, 0.0, 1.2))
    floor = trimesh.creation.box((10.0, 6.0, 0.2)).apply_translation((0.0, 0.0, 0.1))
    joined = trimesh.util.concatenate([floor, wall])
    render_section(
        Mesh(np.asarray(joined.vertices), np.asarray(joined.faces, dtype=np.int64)), tmp_path / "section.png"
    )
    pixels = np.asarray(Image.open(tmp_path / "section.png")).astype(int)
    rows = np.flatnonzero((np.abs(pixels - PAGE) > 2).any(axis=(1, 2)))
    width_by_row = (np.abs(pixels[rows] - PAGE) > 2).any(axis=2).sum(axis=1)
    assert width_by_row[0] < 0.05 * width_by_row.max() and width_by_row[-1] > 0.95 * width_by_row.max()


def test_an_empty_mesh_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a mesh with faces"):
        render_section(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), tmp_path / "section.png")
    assert not list(tmp_path.iterdir())
