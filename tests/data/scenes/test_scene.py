"""Scenes: occupancy against analytic volumes, uniform surface samples, meshes, and free places to stand and walk."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.placement import PlacedFurniture
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.solids import Solids, yaw_matrix
from sparse_convonet.data.scenes.walks import choose_stations, walk_through
from tests.data.furniture.tiny_library import VOXEL_M, tiny_library


@pytest.fixture(scope="module")
def library() -> FurnitureLibrary:
    return tiny_library()


def _box_and_cylinder(yaw: float = 0.7) -> Scene:
    """A box of 2 x 1 x 1 m and, half inside it, an upright cylinder of radius 0.4 m and 3 m height through its middle."""
    assembly = Assembly()
    assembly.box((-1.0, -0.5, 0.0), (1.0, 0.5, 1.0))
    assembly.rod((0.0, 0.0, -1.0), (0.0, 0.0, 2.0), 0.4)
    return assembly.finish(yaw, (5.0, -3.0, 0.5))


def test_volume_of_a_union_matches_the_analytic_volume(rng: np.random.Generator) -> None:
    scene = _box_and_cylinder()
    low, high = scene.bounds
    share = scene.occupied(rng.uniform(low, high, (400_000, 3))).mean()
    expected = 2.0 + np.pi * 0.4**2 * 2.0  # two thirds of the cylinder stick out of the box
    deviation = np.sqrt(0.25 / 400_000) * np.prod(high - low)
    assert abs(share * np.prod(high - low) - expected) < 5 * deviation


def test_volume_of_a_wedge_is_half_of_its_box(rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.wedge((0, 0, 0), (2.0, 1.0, 3.0), yaw_matrix(0.3))
    scene = assembly.finish(0.0, (0, 0, 0))
    low, high = scene.bounds
    volume = scene.occupied(rng.uniform(low, high, (200_000, 3))).mean() * np.prod(high - low)
    assert abs(volume - 3.0) < 5 * np.sqrt(0.25 / 200_000) * np.prod(high - low)


def test_margin_widens_a_box_by_exactly_the_margin() -> None:
    assembly = Assembly()
    assembly.box((0, 0, 0), (1, 1, 1))
    scene = assembly.finish(0.0, (0, 0, 0))
    points = np.array([[1.19, 0.5, 0.5], [1.21, 0.5, 0.5]])
    assert scene.occupied_in_building(points, 0.2).tolist() == [True, False]
    assert not scene.occupied(points).any()


def test_an_upright_rod_and_a_sloped_beam_hold_their_own_axis_and_nothing_beyond_their_ends() -> None:
    assembly = Assembly()
    assembly.beam((0, 0, 0), (3, 1, 2), 0.1, 0.2)
    assembly.rod((5, 5, 0), (5, 5, 2), 0.05)
    scene = assembly.finish(0.0, (0, 0, 0))
    shares = np.array([-0.01, 0.01, 0.5, 0.99, 1.01])[:, None]
    expected = [False, True, True, True, False]
    assert scene.occupied(shares * np.array([3.0, 1.0, 2.0])).tolist() == expected
    assert scene.occupied(np.array([5.0, 5.0, 0.0]) + shares * np.array([0, 0, 2.0])).tolist() == expected


@pytest.mark.parametrize("yaw", [0.0, 1.1])
def test_samples_of_a_box_are_uniform_by_area(rng: np.random.Generator, yaw: float) -> None:
    assembly = Assembly()
    assembly.box((0, 0, 0), (4, 2, 1))
    scene = assembly.finish(yaw, (1, 2, 3))
    points, normals = scene.sample_surface(40_000, rng)
    local_normals = normals @ yaw_matrix(yaw)
    axes = np.abs(local_normals).argmax(axis=1)
    counts = np.bincount(axes * 2 + (np.take_along_axis(local_normals, axes[:, None], 1)[:, 0] > 0), minlength=6)
    expected = 40_000 * np.array([2, 2, 4, 4, 8, 8]) / 28
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    top = scene.to_building(points)[(local_normals[:, 2] > 0.9)]
    quarters = np.histogram2d(top[:, 0], top[:, 1], bins=(4, 2), range=[[0, 4], [0, 2]])[0]
    assert (np.abs(quarters - len(top) / 8) < 5 * np.sqrt(len(top) / 8)).all()


def test_samples_of_a_region_have_the_density_of_the_whole(rng: np.random.Generator) -> None:
    scene = _box_and_cylinder()
    low, high = np.array([4.6, -3.4, 0.0]), np.array([5.9, -2.6, 3.0])
    everything, _ = scene.sample_surface(60_000, rng)
    points, normals = scene.sample_surface(20_000, rng, (low, high))
    assert ((points >= low) & (points <= high)).all()
    inside = everything[((everything >= low) & (everything <= high)).all(axis=1)]
    edges = [np.linspace(a, b, 4) for a, b in zip(low, high, strict=True)]
    whole, part = (np.histogramdd(sample, bins=edges)[0].ravel() for sample in (inside, points))
    ratio = len(points) / len(inside)
    assert (np.abs(part - whole * ratio) <= 6 * ratio * np.sqrt(whole) + 6 * np.sqrt(whole * ratio) + 6).all()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)


def test_samples_of_a_density_are_as_many_as_the_area_in_the_box_asks_for(rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((0, 0, 0), (4, 2, 1))
    assembly.box((3, 0, 0), (5, 2, 1))  # what overlaps counts once, what is hidden not at all
    scene = assembly.finish(0.0, (1, 2, 3))
    whole = scene.bounds + np.array([[-1.0], [1.0]])
    points, normals = scene.sample_surface_of_density(500.0, rng, (whole[0], whole[1]))
    assert points.shape == normals.shape and normals.dtype == np.float32
    expected = 500 * np.array([5 * 2, 5 * 2, 5, 5, 2, 2])  # top, bottom, two long sides, two short ones
    sides = [(2, 1), (2, -1), (1, 1), (1, -1), (0, 1), (0, -1)]
    counts = np.array([(normals[:, axis] * sign > 0.9).sum() for axis, sign in sides])
    assert counts.sum() == len(points) and (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    low, high = np.array([1.5, 2.5, 3.9]), np.array([3.0, 3.5, 4.1])
    part, _ = scene.sample_surface_of_density(2000.0, rng, (low, high))
    assert ((part >= low) & (part <= high)).all()
    assert abs(len(part) - 2000 * 1.5) < 5 * np.sqrt(2000 * 1.5)
    nothing, _ = scene.sample_surface_of_density(2000.0, rng, (low + 100, high + 100))
    assert nothing.shape == (0, 3)


def test_a_density_holds_for_furniture_too(library: FurnitureLibrary, rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((5, 5, 0), (6, 6, 1))
    piece = PlacedFurniture(library.models[0], np.zeros(3), 0.0)
    assembly.place_furniture(piece)
    low, high = piece.box
    points, _ = assembly.finish(0.0, (0, 0, 0)).sample_surface_of_density(4000.0, rng, (low - 0.1, high + 0.1))
    assert abs(len(points) - 4000 * piece.area_m2) < 5 * np.sqrt(4000 * piece.area_m2)


def test_coinciding_faces_are_sampled_once(rng: np.random.Generator) -> None:
    """Two boxes with a common top plane that overlap by half: the overlap must not be twice as dense."""
    assembly = Assembly()
    assembly.box((0, 0, 0), (2, 1, 1))
    assembly.box((1, 0, 0), (3, 1, 1))
    points, normals = assembly.finish(0.0, (0, 0, 0)).sample_surface(20_000, rng)
    top = points[normals[:, 2] > 0.9]
    counts = np.histogram(top[:, 0], bins=[0, 1, 2, 3])[0]
    assert (np.abs(counts - len(top) / 3) < 5 * np.sqrt(len(top) / 3)).all()
    assert not ((np.abs(normals[:, 0]) > 0.9) & (points[:, 0] > 0.01) & (points[:, 0] < 2.99)).any()  # hidden faces


def test_samples_separate_inside_from_outside_exactly_where_solids_have_no_edges_near(rng: np.random.Generator) -> None:
    scene = _box_and_cylinder()
    points, normals = scene.sample_surface(20_000, rng)
    # Not all: within 2 mm of an edge where the cylinder meets the box, 2 mm outward can be inside the other.
    assert (~scene.occupied(points + 0.002 * normals)).mean() >= 0.99
    assert scene.occupied(points - 0.002 * normals).mean() >= 0.99


def test_placed_furniture_moves_with_scale_yaw_and_mirror(library: FurnitureLibrary, rng: np.random.Generator) -> None:
    cupboard = library.models[0]
    piece = PlacedFurniture(cupboard, np.array([1.0, 2.0, 0.5]), 0.8, 1.1, True)
    low, high = piece.box
    inside = piece.contains(rng.uniform(low, high, (100_000, 3)))
    volume = inside.mean() * np.prod(high - low)
    assert abs(volume / (np.prod(cupboard.size_m) * 1.1**3) - 1) < 0.03  # corners of a voxel model are rounded off
    vertices, faces = piece.mesh()
    assert trimesh.Trimesh(vertices, faces, process=False).volume == pytest.approx(volume, rel=0.03)
    points, normals = piece.sample(4000, rng)
    assert piece.contains(points - 0.3 * VOXEL_M * normals).mean() > 0.97
    assert piece.contains(points + 0.3 * VOXEL_M * normals).mean() < 0.03
    assert piece.area_m2 == pytest.approx(trimesh.Trimesh(vertices, faces, process=False).area)


def test_what_furniture_covers_of_the_floor_is_not_surface(library: FurnitureLibrary, rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((-2, -2, -0.2), (2, 2, 0))
    assembly.place_furniture(PlacedFurniture(library.models[0], np.zeros(3), 0.0))
    points, _ = assembly.finish(0.0, (0, 0, 0)).sample_surface(20_000, rng)
    half = library.models[0].size_m[:2] / 2 - VOXEL_M
    covered = (np.abs(points[:, :2]) < half).all(axis=1) & (np.abs(points[:, 2]) < 0.1)
    assert covered.sum() == 0


def test_mesh_faces_point_outwards_and_enclose_the_solids() -> None:
    assembly = Assembly()
    assembly.box((0, 0, 0), (1, 2, 3))
    assembly.rod((5, 0, 0), (5, 1, 1), 0.5)
    assembly.wedge((0, 5, 0), (1.0, 2.0, 3.0), yaw_matrix(0.4))
    vertices, faces = assembly.finish(0.6, (1, 1, 1)).mesh()
    parts = trimesh.Trimesh(vertices, faces, process=False).split(only_watertight=True)
    sides = 16 / (2 * np.pi) * np.sin(2 * np.pi / 16)  # of a regular 16-gon's area, over the circle's
    expected = [6.0, np.pi * 0.25 * np.sqrt(2) * sides, 3.0]
    assert sorted(part.volume for part in parts) == pytest.approx(sorted(expected))


def test_stations_and_walk_stay_outside_solids_and_pass_the_door(rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((0, 0, -0.2), (8, 4, 0))
    assembly.box((3.95, 0, 0), (4.05, 1.5, 2.5))
    assembly.box((3.95, 2.4, 0), (4.05, 4, 2.5))
    for x, height in ((0.0, 0.0), (4.0, 0.0)):
        assembly.places.append(Place("room", np.array([[x, 0, x + 4.0, 4.0]]), height, 2.5))
    scene = assembly.finish(0.4, (3, 3, 0))
    stations, walk = choose_stations(scene, rng, 1.5), walk_through(scene, rng, 0.5)
    assert not scene.occupied(stations).any()
    assert not scene.occupied(walk).any()
    local = scene.to_building(walk)
    assert (local[:, 0] < 3).any() and (local[:, 0] > 5).any()
    steps = np.linalg.norm(np.diff(walk, axis=0), axis=1)
    assert steps.max() < 0.75
    assert ((local[:, 2] >= 1.0) & (local[:, 2] <= 1.8)).all()


def test_a_scene_without_room_to_stand_says_so(rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((0, 0, 0), (2, 2, 3))
    assembly.places.append(Place("room", np.array([[0.0, 0.0, 2.0, 2.0]]), 0.0, 2.5))
    scene = assembly.finish(0.0, (0, 0, 0))
    with pytest.raises(ValueError, match="no place to stand"):
        choose_stations(scene, rng, 1.0)
    with pytest.raises(ValueError, match="no place to walk"):
        walk_through(scene, rng, 0.5)


def test_no_points_give_no_answers() -> None:
    assert _box_and_cylinder().occupied(np.zeros((0, 3))).shape == (0,)


def test_flat_solids_are_refused() -> None:
    identity, flat = np.eye(3)[None], np.array([[1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="positive half extents"):
        Solids(np.zeros(1, dtype=np.int8), np.zeros((1, 3)), identity, flat)
