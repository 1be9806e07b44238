"""The picture of a mesh that comes in parts is that of the whole mesh; and colours from the points of boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.out_of_core.assembly.assemble import assemble
from sparse_convonet.out_of_core.assembly.certified import caption_of, certificate_sums, certify
from sparse_convonet.out_of_core.assembly.point_colours import colours_near
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.picture.camera import ParallelCamera, lay_out
from sparse_convonet.picture.cutaway import (
    MARGIN_PIXELS,
    Cutaway,
    blank_picture,
    ends_of,
    plane_axes,
    render_cutaway,
    slabs_of,
)
from sparse_convonet.picture.face_sums import boxes_of_slabs
from sparse_convonet.picture.shading import PAGE
from sparse_convonet.picture.storeys import find_storeys
from sparse_convonet.structures import Mesh, PointCloud
from tests.mesh.analytic_fields import union
from tests.oracles.same_surface import joined_by_keys
from tests.out_of_core.tiled_scenes import (
    FRAME,
    SETTINGS,
    MemoryPoints,
    hollow,
    points_on,
    saved,
    small_things,
    tiled_mesh,
    whole_mesh,
)


@pytest.mark.parametrize("coloured", [True, False])
def test_picture_of_tiles_is_that_of_the_whole_mesh(coloured: bool, rng: np.random.Generator, tmp_path: Path) -> None:
    upper = hollow((-10.0, -9.0, 6.6), (9.4, 12.0, 15.3))
    tiled = tiled_mesh(union(small_things(rng), upper))
    points = points_on(joined_by_keys(tiled.tiles), 3000, rng, coloured)
    assemble(
        saved(tiled, tmp_path / "tiles"),
        points,
        FRAME,
        SETTINGS,
        ResultPaths(tmp_path / "mesh.ply", tmp_path / "parts.png", title="some.laz"),
    )
    mesh, _ = whole_mesh(tiled, points)
    upright = replace(mesh, vertices=FRAME.upright(mesh.vertices))
    storeys = find_storeys(upright)
    assert len(storeys) == 2
    sums = certificate_sums(storeys)
    certify(sums, upright, upright.vertices)
    caption = caption_of("some.laz", sums.finish(), upright.vertices, ends_of(upright))
    assert caption[0].startswith("some.laz: 2 storeys, ") and "68 % of that is expected within" in caption[1]
    render_cutaway(upright, tmp_path / "whole.png", storeys=storeys, caption=caption, fit=True)
    parts, whole = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("parts", "whole"))
    assert (whole < min(PAGE)).any(axis=2).mean() > 0.2
    np.testing.assert_array_equal(parts, whole)


def test_a_mesh_drawn_in_any_parts_of_its_faces_in_order_gives_the_same_picture(rng: np.random.Generator) -> None:
    mesh, _ = whole_mesh(tiled_mesh(small_things(rng)), MemoryPoints(np.zeros((0, 3)), None))
    storeys, camera = find_storeys(mesh), ParallelCamera.looking_down(70.0, 58.0)
    panels = lay_out(list(boxes_of_slabs(mesh, slabs_of(storeys), plane_axes(camera))), 300, 200, MARGIN_PIXELS)
    cutaway = Cutaway(storeys, tuple(panels), camera, solid=True)
    pictures = []
    for cuts in ([], sorted(rng.integers(0, len(mesh.faces), 12).tolist())):
        canvas, picture = cutaway.canvas(0, coloured=False), blank_picture(300, 200)
        for faces in np.split(mesh.faces, cuts):
            part = Mesh(mesh.vertices, faces, mesh.normals)
            cutaway.draw(canvas, part, cutaway.project(part))
        cutaway.shade(canvas, picture)
        pictures.append(picture)
    assert (pictures[0] < min(PAGE)).any()
    np.testing.assert_array_equal(pictures[1], pictures[0])


class _Asked(MemoryPoints):
    """Points that tell how many were given out at once."""

    most = [0]

    def within(self, low: np.ndarray, high: np.ndarray) -> MemoryPoints:
        found = super().within(low, high)
        self.most[0] = max(self.most[0], found.count)
        return found


@pytest.mark.parametrize(("count", "black"), [(1, 0.0), (3, 0.0), (2000, 0.0), (2000, 0.7), (2000, 0.999), (3, 1.0)])
def test_colours_are_those_of_the_nearest_of_all_points_also_far_from_any(
    count: int, black: float, rng: np.random.Generator
) -> None:
    colours = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    colours[rng.random(count) < black] = 0
    points = MemoryPoints(rng.uniform(0, 10, (count, 3)), colours)
    vertices = np.concatenate([rng.uniform(0, 10, (300, 3)), rng.uniform(-40, 50, (50, 3)), points.points_world[:9]])
    expected = with_colours(Mesh(vertices, np.zeros((0, 3), dtype=np.int64)), PointCloud(*_arrays(points))).colours
    for margin in (0.01, 0.5, 100.0):
        np.testing.assert_array_equal(colours_near(points, vertices, margin), expected)
    assert colours_near(points, vertices[:0], 1.0).shape == (0, 3)


def _arrays(points: MemoryPoints) -> tuple[np.ndarray, np.ndarray | None]:
    return points.points_world, points.colours


def test_a_vertex_far_from_points_does_not_bring_in_those_of_all_others(rng: np.random.Generator) -> None:
    places = np.column_stack([rng.uniform(0, 100, 20000), rng.uniform(0, 1, (20000, 2))])
    points = _Asked(places, rng.integers(0, 256, (20000, 3)).astype(np.uint8))
    colours_near(points, np.array([[20.0, 0.5, 0.5], [22.0, 0.5, 4.0], [24.0, 0.5, 0.5]]), 0.5)
    assert 0 < points.most[0] < 5000
