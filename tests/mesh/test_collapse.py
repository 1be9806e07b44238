"""Fewer faces by collapsed edges: closed stays closed, rims stay, errors are bounded, and blocks give one mesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.collapse_checks_numba import fits
from sparse_convonet.mesh.light import light_mesh
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import Field, block_of_cells, box, sphere, torus, union
from tests.oracles.topology import directed_edges


def mesh_of(field: Field, reach: int = 20) -> Mesh:
    """The zero level of a field around the origin, cells of 1."""
    seeds = block_of_cells(-reach, reach)
    return extract_mesh(field, seeds, 1, np.zeros((0, 3)), ExtractionSettings(cell=1.0, threshold=0.0))


SOLIDS = {
    "torus": torus(12.0, 5.0),
    "house": union(box((-17.2, -15.1, -9.3), (16.1, 14.2, 11.4)), box((-4, -4, -9.3), (5, 5, 18))),
    "spheres": union(sphere((-7, 0, 0), 8.5), sphere((8, 2, 1), 7.2)),
}


def distance(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    return np.asarray(TriangleScene(mesh.vertices, mesh.faces).nearest(points)[0])


@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("error", [0.05, 0.3])
def test_a_closed_surface_keeps_its_topology_and_stays_near(name: str, error: float) -> None:
    mesh = mesh_of(SOLIDS[name])
    found = collapse_edges(mesh, error).mesh
    before, after = mesh_statistics(mesh), mesh_statistics(found)
    assert after.watertight and after.faces < before.faces / 2
    assert (after.components, after.euler_number) == (before.components, before.euler_number)
    assert after.area == pytest.approx(before.area, rel=0.05)
    distances = distance(mesh.vertices, found)
    assert np.sqrt((distances**2).mean()) <= error and np.quantile(distances, 0.95) <= 1.5 * error
    # One vertex alone is watched at twice the error for each that is left; those beside it may be farther.
    assert distances.max() <= 4 * error


def test_more_error_gives_fewer_faces_and_flat_walls_keep_next_to_none() -> None:
    mesh = mesh_of(SOLIDS["house"])
    faces = [len(collapse_edges(mesh, error).mesh.faces) for error in (0.02, 0.1, 0.5)]
    assert faces[0] > faces[1] > faces[2] and faces[2] < len(mesh.faces) / 20


def test_no_face_turns_over() -> None:
    mesh = mesh_of(SOLIDS["house"])
    found = collapse_edges(mesh, 0.3).mesh
    corners = found.vertices[found.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    assert areas.min() > 0
    outside = corners.mean(axis=1) + 0.9 * normals / areas[:, None]
    assert (SOLIDS["house"](outside) < 0).mean() > 0.99  # a face of an edge that was cut may look along a wall


def test_rims_stay_where_they_are_and_colours_are_means() -> None:
    mesh = mesh_of(SOLIDS["spheres"])
    half = mesh.faces[(mesh.vertices[mesh.faces][:, :, 2] > 0).all(axis=1)]
    used, faces = np.unique(half, return_inverse=True)
    colours = np.full((len(used), 3), 90, dtype=np.uint8)
    colours[mesh.vertices[used][:, 0] > 0] = 200
    opened = Mesh(mesh.vertices[used], faces.reshape(-1, 3), colours=colours)
    found = collapse_edges(opened, 0.2)
    assert found.mesh.colours is not None and len(found.mesh.faces) < len(opened.faces) / 2

    def rim(each: Mesh) -> set[tuple[tuple[float, ...], tuple[float, ...]]]:
        edges = directed_edges(each.faces)
        places = [tuple(place) for place in each.vertices.tolist()]
        return {(places[a], places[b]) for a, b in edges if (b, a) not in edges}

    assert rim(found.mesh) == rim(opened) and rim(opened)
    np.testing.assert_array_equal(found.mesh.vertices[found.on_rim], opened.vertices[found.rows[found.on_rim]])
    far = np.abs(found.mesh.vertices[:, 0]) > 4
    expected = np.where(found.mesh.vertices[far][:, :1] > 0, 200, 90)
    np.testing.assert_array_equal(found.mesh.colours[far], np.broadcast_to(expected, (far.sum(), 3)))


def test_a_mesh_far_from_the_origin_gives_the_same_faces() -> None:
    mesh = mesh_of(SOLIDS["torus"])
    near, far = collapse_edges(mesh, 0.2), collapse_edges(Mesh(mesh.vertices + [4e5, 5e6, 100], mesh.faces), 0.2)
    assert len(near.mesh.faces) == pytest.approx(len(far.mesh.faces), rel=0.02)
    assert mesh_statistics(far.mesh).watertight


def fan(heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (1 + n, 3) and faces (n, 3) uint32 of n triangles around vertex 0, whose rim is 1 from the z axis."""
    turns = 2 * np.pi * np.arange(len(heights)) / len(heights)
    rim = np.stack([np.cos(turns), np.sin(turns), heights], axis=1)
    numbers = 1 + np.arange(len(heights))
    faces = np.stack([0 * numbers, numbers, np.roll(numbers, -1)], axis=1)
    return np.concatenate([np.zeros((1, 3)), rim]), faces.astype(np.uint32)


def fitted(vertices: np.ndarray, faces: np.ndarray, place: np.ndarray, points: np.ndarray) -> tuple[bool, np.ndarray]:
    """Whether vertex 0 may move to a place, and the squared distances of two points (2, 3) to the faces below them."""
    gaps, corners = np.full(2, np.inf), np.arange(0, 3 * len(faces), 3, dtype=np.uint32)
    dead, nobody = np.zeros(len(faces), dtype=bool), len(vertices)
    return bool(fits(vertices, faces, dead, corners, 0, len(faces), nobody, place, *points, gaps)), gaps


def test_distances_of_what_lies_over_the_new_faces_are_those_of_their_nearest_points() -> None:
    rng = np.random.default_rng(3)
    place = np.array([0.2, -0.1, 0.05])
    vertices, faces = fan(rng.uniform(-0.05, 0.05, 7))
    moved = Mesh(np.concatenate([place[None], vertices[1:]]), faces.astype(np.int64))
    over = 0
    for points in rng.uniform((-1, -1, -0.1), (1, 1, 0.1), (200, 2, 3)):
        upright, gaps = fitted(vertices, faces, place, points)
        assert upright
        near, known = distance(points, moved), np.isfinite(gaps)
        np.testing.assert_allclose(np.sqrt(gaps[known]), near[known], atol=1e-3)  # the next face may be a bit nearer
        assert (np.sqrt(gaps[known]) >= near[known] - 1e-6).all()
        over += int(known.sum())
        outside = np.linalg.norm(points[:, :2], axis=1) > 1.1
        assert not known[outside].any()
    assert over > 200


def test_a_vertex_does_not_move_where_a_face_would_turn_over_or_become_a_sliver() -> None:
    vertices, faces = fan(np.zeros(7))
    points = np.zeros((2, 3))
    assert fitted(vertices, faces, np.array([0.3, 0.3, 0.0]), points)[0]
    assert not fitted(vertices, faces, np.array([1.3, 0.0, 0.0]), points)[0]
    middle_of_a_side = vertices[1:3].mean(axis=0)
    assert not fitted(vertices, faces, 0.999 * middle_of_a_side, points)[0]


def test_nothing_and_a_lone_face_stay_and_no_error_is_refused() -> None:
    nothing = collapse_edges(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), 0.1).mesh
    assert nothing.faces.shape == (0, 3) and nothing.vertices.shape == (0, 3)
    lone = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(collapse_edges(lone, 9.0).mesh.vertices, lone.vertices)
    with pytest.raises(ValueError, match="simplify: expected a positive error, found 0"):
        collapse_edges(lone, 0.0)


def test_faces_without_area_do_no_harm() -> None:
    """Vertices of marching cubes may fall together on a corner of the lattice; such faces are left as they are."""
    mesh = mesh_of(SOLIDS["spheres"])
    vertices = mesh.vertices.copy()
    together = mesh.faces[::5]
    vertices[together[:, 1]] = vertices[together[:, 0]]
    found = collapse_edges(Mesh(vertices, mesh.faces), 0.3).mesh
    assert np.isfinite(found.vertices).all() and mesh_statistics(found).watertight
    assert len(found.faces) < 0.7 * len(mesh.faces)


def test_a_thin_tube_is_not_pinched() -> None:
    """Around a section of three vertices every edge is on a triangle that is no face: cut, it would leave a loose edge."""
    around, sections = np.arange(3) * 2 * np.pi / 3, np.arange(40) * 2 * np.pi / 40
    out = 10 + 0.3 * np.cos(around)
    ring = np.stack([np.cos(sections)[:, None] * out, np.sin(sections)[:, None] * out], axis=2)
    height = np.broadcast_to(0.3 * np.sin(around)[:, None], (40, 3, 1))
    vertices = np.concatenate([ring, height], axis=2).reshape(-1, 3)
    faces = []
    for section in range(40):
        for corner in range(3):
            a, b = 3 * section + corner, 3 * section + (corner + 1) % 3
            c, d = (a + 3) % 120, (b + 3) % 120
            faces += [[a, c, b], [b, c, d]]
    mesh = Mesh(vertices, np.array(faces))
    found = collapse_edges(mesh, 5.0).mesh
    assert mesh_statistics(mesh).euler_number == 0 and len(found.faces) < len(mesh.faces)
    assert set(directed_edges(found.faces).values()) == {1}
    assert mesh_statistics(found).watertight and mesh_statistics(found).euler_number == 0


def test_three_sheets_along_one_edge_keep_it() -> None:
    """What is no manifold there stays as it is."""
    line = np.array([[0.0, 0, z] for z in range(6)])
    sheets, faces = [line], []
    for turn in (0.0, 2.0, 4.0):
        start = 6 * len(sheets)
        sheets.append(line + [np.cos(turn), np.sin(turn), 0])
        for z in range(5):
            a, b, c, d = z, z + 1, start + z, start + z + 1
            faces += [[a, c, b], [b, c, d]]
    mesh = Mesh(np.concatenate(sheets), np.array(faces))
    found = collapse_edges(mesh, 5.0).mesh
    kept = {tuple(place) for place in found.vertices.tolist()}
    assert {tuple(place) for place in line.tolist()} <= kept


@pytest.mark.parametrize("flatness", [0.3, 0.05])
@pytest.mark.parametrize("error", [0.03, 0.12, 0.5])
def test_a_small_piece_does_not_become_one_face_twice(flatness: float, error: float) -> None:
    ball = trimesh.creation.icosphere(3, 0.2)
    found = with_area_normals(
        collapse_edges(Mesh(np.array(ball.vertices) * [1, 1, flatness], np.array(ball.faces)), error).mesh
    )
    assert 4 <= len(found.faces) < 200 and mesh_statistics(found).watertight
    assert len(np.unique(np.sort(found.faces, axis=1), axis=0)) == len(found.faces)
    assert found.normals is not None
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_light_mesh_of_blocks_is_closed_and_the_same_with_any_number_of_threads(threads: int) -> None:
    mesh = mesh_of(SOLIDS["house"])
    mesh = Mesh(mesh.vertices, mesh.faces, colours=np.full(mesh.vertices.shape, 70, dtype=np.uint8))
    blocks = (np.floor(mesh.vertices / 13).astype(np.int64) @ [10000, 100, 1]).astype(np.int64)
    assert len(np.unique(blocks)) > 8
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = light_mesh(mesh, blocks, 0.2)
    finally:
        torch.set_num_threads(before)
    again = light_mesh(mesh, blocks, 0.2)
    np.testing.assert_array_equal(found.mesh.vertices, again.mesh.vertices)
    np.testing.assert_array_equal(found.mesh.faces, again.mesh.faces)
    before_statistics, statistics = mesh_statistics(mesh), mesh_statistics(found.mesh)
    assert statistics.watertight and statistics.euler_number == before_statistics.euler_number
    assert statistics.faces < before_statistics.faces / 2
    assert found.mesh.colours is not None and (found.mesh.colours == 70).all()
    distances = distance(mesh.vertices, found.mesh)  # all are in the sample
    assert (
        found.largest_m == pytest.approx(distances.max(), abs=1e-5)
        and found.within_68_m <= found.within_95_m <= found.largest_m
    )
    assert found.within_95_m == pytest.approx(np.quantile(distances, 0.95), abs=1e-5)  # float32 at 20
