from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.cleanup import CrumbRule, remove_small_components, remove_unsupported
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.plane import plane


def _joined(*parts: trimesh.Trimesh) -> Mesh:
    whole = trimesh.util.concatenate(list(parts))
    return Mesh(np.array(whole.vertices), np.array(whole.faces, dtype=np.int64))


def _sphere(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=2, radius=radius).apply_translation(centre)  # 320 faces


def _crumbs(below: float, reach: float) -> CrumbRule:
    """Small pieces need half the points per surface; none is a stray."""
    return CrumbRule(below, 1.0, 0.5, reach, stray_m2=0.0)


@pytest.mark.parametrize(("min_area", "min_diameter"), [(3.0, 0.0), (0.0, 1.0)], ids=["area", "diameter"])
def test_small_pieces_go_and_the_rest_is_unchanged(min_area: float, min_diameter: float) -> None:
    large, crumb = _sphere(2.0), _sphere(0.1, (5.0, 0.0, 0.0))
    mesh = _joined(crumb, large, _sphere(0.2, (0.0, 9.0, 0.0)))
    cleaned = remove_small_components(mesh, min_area=min_area, min_diameter=min_diameter)
    np.testing.assert_array_equal(cleaned.mesh.vertices, large.vertices)
    np.testing.assert_array_equal(cleaned.mesh.faces, large.faces)
    assert (cleaned.removed_components, cleaned.removed_faces) == (2, 640)
    assert cleaned.removed_area == pytest.approx(crumb.area * (1 + 4))


def test_pieces_are_measured_one_by_one_in_whatever_order_their_faces_stand() -> None:
    rng = np.random.default_rng(4)
    radii = rng.uniform(0.1, 1.0, 12)
    spheres = [_sphere(radius, (4.0 * number, 0.0, 0.0)) for number, radius in enumerate(radii)]
    whole = _joined(*spheres)
    order = rng.permutation(len(whole.faces))
    for min_area, min_diameter, small in (
        (2.0, 0.0, [sphere.area < 2.0 for sphere in spheres]),
        (0.0, 1.5, [np.linalg.norm(np.ptp(sphere.vertices, axis=0)) < 1.5 for sphere in spheres]),
    ):
        cleaned = remove_small_components(
            Mesh(whole.vertices, whole.faces[order]), min_area=min_area, min_diameter=min_diameter
        )
        kept = _joined(*(sphere for sphere, goes in zip(spheres, small, strict=True) if not goes))
        assert 0 < sum(small) < 12 and cleaned.removed_components == sum(small)
        np.testing.assert_array_equal(cleaned.mesh.vertices, kept.vertices)
        stays = ~np.repeat(small, 320)[order]
        np.testing.assert_array_equal(
            cleaned.mesh.vertices[cleaned.mesh.faces], whole.vertices[whole.faces[order][stays]]
        )
        areas = [sphere.area for sphere, goes in zip(spheres, small, strict=True) if goes]
        assert cleaned.removed_area == pytest.approx(sum(areas), rel=1e-12)


def test_pieces_of_few_faces_go() -> None:
    box = trimesh.creation.box()
    cleaned = remove_small_components(_joined(_sphere(1.0), box.apply_translation((9, 0, 0))), min_faces=13)
    assert (cleaned.removed_components, cleaned.removed_faces, len(cleaned.mesh.faces)) == (1, 12, 320)


def test_nothing_goes_without_limits_and_vertex_attributes_stay_with_their_vertices() -> None:
    whole = _joined(_sphere(0.1), _sphere(1.0, (4.0, 0.0, 0.0)))
    number = np.arange(len(whole.vertices))
    colours = np.stack([number % 256, number // 256, number * 0], axis=1).astype(np.uint8)
    mesh = Mesh(whole.vertices, whole.faces, whole.vertices.astype(np.float32), colours)
    same = remove_small_components(mesh)
    np.testing.assert_array_equal(same.mesh.faces, mesh.faces)
    assert same.removed_components == 0
    kept = remove_small_components(mesh, min_diameter=1.0).mesh
    np.testing.assert_array_equal(kept.vertices.astype(np.float32), kept.normals)
    np.testing.assert_array_equal(kept.colours, colours[162:])


def test_empty_mesh_stays_empty() -> None:
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert remove_small_components(empty, min_area=1.0).removed_faces == 0
    assert mesh_statistics(empty).watertight is False


def _points_on(sphere: trimesh.Trimesh, count: int, rng: np.random.Generator) -> np.ndarray:
    directions = rng.normal(size=(count, 3))
    radius = np.linalg.norm(sphere.vertices - sphere.vertices.mean(axis=0), axis=1).mean()
    return radius * directions / np.linalg.norm(directions, axis=1, keepdims=True) + sphere.vertices.mean(axis=0)


def test_small_pieces_stay_where_points_show_them_and_go_where_few_do() -> None:
    rng = np.random.default_rng(0)
    wall, chair, noise = _sphere(4.0), _sphere(0.5, (8.0, 0.0, 0.0)), _sphere(0.5, (-8.0, 0.0, 0.0))
    density = 40_000 / wall.area
    parts = [(wall, 1.0), (chair, 0.9), (noise, 0.3)]
    points = np.concatenate([_points_on(part, int(share * density * part.area), rng) for part, share in parts])
    mesh = _joined(noise, wall, chair)
    cleaned = remove_unsupported(mesh, points, _crumbs(50.0, 0.15), 1.0)
    assert (cleaned.removed_components, cleaned.removed_faces) == (1, 320)
    np.testing.assert_array_equal(cleaned.mesh.vertices, _joined(wall, chair).vertices)
    shuffled = remove_unsupported(mesh, points[rng.permutation(len(points))], _crumbs(50.0, 0.15), 1.0)
    np.testing.assert_array_equal(shuffled.mesh.faces, cleaned.mesh.faces)
    assert remove_unsupported(mesh, points, _crumbs(0.1, 0.15), 1.0).mesh is mesh


def test_points_count_for_pieces_within_reach_alone() -> None:
    rng = np.random.default_rng(1)
    wall, piece = _sphere(4.0), _sphere(0.5, (8.0, 0.0, 0.0))
    far = _points_on(_sphere(0.8, (8.0, 0.0, 0.0)), 5000, rng)  # around the piece, beyond its reach
    points = np.concatenate([_points_on(wall, 20_000, rng), far])
    kept, gone = (remove_unsupported(_joined(wall, piece), points, _crumbs(50.0, reach), 1.0) for reach in (0.5, 0.2))
    assert (kept.removed_components, gone.removed_components) == (0, 1)


def test_a_mesh_without_faces_or_points_has_nothing_unsupported() -> None:
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    for mesh, points in ((empty, np.zeros((3, 3))), (plane(2), np.zeros((0, 3)))):
        assert remove_unsupported(mesh, points, _crumbs(99.0, 1.0), 1.0).mesh is mesh


@pytest.mark.parametrize(
    ("distance", "radius", "share", "stays"),
    [
        (9.0, 0.6, 0.8, False),  # seen through a window: it has fewer points than the building
        (9.0, 0.6, 1.3, True),  # a lamp post that was scanned as well as the building
        (4.9, 0.6, 0.8, True),  # beside the wall
        (9.0, 1.0, 0.8, True),  # a shed: too large to be a stray
    ],
)
def test_what_lies_metres_away_needs_as_many_points_as_the_building(
    distance: float, radius: float, share: float, stays: bool
) -> None:
    rng = np.random.default_rng(2)
    wall, piece = _sphere(4.0), _sphere(radius, (distance, 0.0, 0.0))
    density = 30_000 / wall.area
    points = np.concatenate([_points_on(wall, 30_000, rng), _points_on(piece, int(share * density * piece.area), rng)])
    rule = CrumbRule(below_m2=0.1, below_share=0.05, reach_voxels=0.3, stray_m2=8.0)
    found = remove_unsupported(_joined(wall, piece), points, rule, 1.0)
    assert found.removed_components == (not stays)
