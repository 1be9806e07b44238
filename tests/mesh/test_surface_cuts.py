"""Surface that the points do not show is cut away, and the rest stays."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.surface_cuts import FarCut, SurfacePoints, UnseenCut, cut_surface
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.plane import plane

THICK = 1.25  # voxels: a wall of 10 cm in voxels of 8 cm
WIDE = 40


def _wall(thick: float) -> Mesh:
    """Two faces, the upper one at z = 0, that look away from each other."""
    front = plane(WIDE)
    back = front.vertices - (0, 0, thick)
    return Mesh(
        np.concatenate([front.vertices, back]),
        np.concatenate([front.faces, front.faces[:, ::-1] + len(back)]),
    )


def _on(z: float, rng: np.random.Generator, noise: float = 0.12) -> np.ndarray:
    return np.c_[rng.uniform(0, WIDE, (6000, 2)), rng.normal(z, noise, 6000)]


def _ways(points: np.ndarray, scanner: tuple[float, float, float]) -> np.ndarray:
    ways = np.array(scanner) - points
    return (ways / np.linalg.norm(ways, axis=1, keepdims=True)).astype(np.float32)


def _heights(mesh: Mesh) -> set[float]:
    return set(np.round(mesh.vertices[:, 2], 6).tolist())


def test_unobserved_surface_is_cut_and_observed_surface_is_not() -> None:
    mesh = plane(40)
    points = np.random.default_rng(0).uniform((0, 0, -0.2), (20, 40, 0.2), size=(8000, 3))
    cleaned = cut_surface(mesh, SurfacePoints(points), FarCut(2.0))
    x = cleaned.mesh.vertices[:, 0]
    assert cleaned.removed_components == 1
    assert x.min() == 0
    assert 20 <= x.max() <= 24
    assert cleaned.removed_area == pytest.approx(40 * 40 - mesh_statistics(cleaned.mesh).area)
    assert mesh_statistics(cleaned.mesh).euler_number == 1  # one disc without holes


def test_a_gap_in_the_points_narrower_than_the_distance_leaves_no_hole() -> None:
    grid = np.stack(np.meshgrid(np.arange(0, 41), np.arange(0, 41), [0.0]), axis=-1).reshape(-1, 3)
    gap = grid[np.linalg.norm(grid[:, :2] - 20, axis=1) > 3.5]
    assert cut_surface(plane(40), SurfacePoints(gap), FarCut(3.0)).removed_faces == 0


def test_the_cut_leaves_no_face_hanging_by_one_edge() -> None:
    mesh = plane(40)
    ragged = np.random.default_rng(1).uniform(0, 40, size=(150, 3)) * (1, 1, 0)
    kept = cut_surface(mesh, SurfacePoints(ragged), FarCut(1.5)).mesh
    before = mesh.to_trimesh().face_adjacency
    after = kept.to_trimesh()
    assert 0 < len(kept.faces) < len(mesh.faces)
    hanging = np.bincount(after.face_adjacency.ravel(), minlength=len(kept.faces)) == 1
    full_corners = np.bincount(before.ravel(), minlength=len(mesh.faces)) == 1
    # Only the corner faces of the original square, which had two open edges before the cut, may have one neighbour.
    corner_centres = mesh.to_trimesh().triangles_center[full_corners]
    for centre in after.triangles_center[hanging]:
        on_border = min(centre[0], centre[1], 40 - centre[0], 40 - centre[1]) < 1
        assert on_border or np.isclose(corner_centres, centre).all(axis=1).any()


@pytest.mark.parametrize("cut", [FarCut(1.0), UnseenCut()])
def test_cutting_without_points_is_refused_and_no_surface_stays_none(cut: FarCut | UnseenCut) -> None:
    with pytest.raises(ValueError, match="at least one input point"):
        cut_surface(plane(2), SurfacePoints(np.zeros((0, 3))), cut)
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert cut_surface(empty, SurfacePoints(np.zeros((1, 3))), cut).removed_faces == 0


def test_the_back_of_a_thin_wall_goes_though_it_is_near_the_points_of_the_front(rng: np.random.Generator) -> None:
    wall, points = _wall(THICK), SurfacePoints(_on(0.0, rng))
    assert cut_surface(wall, points, FarCut(2.0)).removed_faces == 0
    kept = cut_surface(wall, points, UnseenCut()).mesh
    assert _heights(kept) == {0.0} and len(kept.faces) == 2 * WIDE**2
    assert not mesh_statistics(kept).watertight


@pytest.mark.parametrize("known", [True, False], ids=["scanners known", "not known"])
def test_a_thin_wall_that_was_scanned_from_both_sides_keeps_both_faces(known: bool, rng: np.random.Generator) -> None:
    front, back = _on(0.0, rng), _on(-THICK, rng)
    ways = np.concatenate([_ways(front, (20, 20, 30)), _ways(back, (20, 20, -30))])
    points = SurfacePoints(np.concatenate([front, back]), ways if known else None)
    assert cut_surface(_wall(THICK), points, UnseenCut()).removed_faces == 0


def test_scanners_tell_the_faces_of_a_wall_apart_that_is_thinner_than_points_can_tell(rng: np.random.Generator) -> None:
    wall, points = _wall(0.5), _on(0.0, rng, noise=0.05)
    assert cut_surface(wall, SurfacePoints(points), UnseenCut()).removed_faces == 0
    from_above = cut_surface(wall, SurfacePoints(points, _ways(points, (20, 20, 30))), UnseenCut()).mesh
    assert _heights(from_above) == {0.0} and len(from_above.faces) == 2 * WIDE**2
    unknown = np.zeros((len(points), 3), dtype=np.float32)
    assert cut_surface(wall, SurfacePoints(points, unknown), UnseenCut()).removed_faces == 0


def test_a_face_on_the_points_stays_though_it_looks_away_from_the_scanner(rng: np.random.Generator) -> None:
    points = _on(0.0, rng, noise=0.05)  # the network put the solid on the wrong side of them
    kept = cut_surface(plane(WIDE), SurfacePoints(points, _ways(points, (20, 20, -30))), UnseenCut())
    assert kept.removed_faces == 0


def test_which_faces_are_seen_is_what_all_pairs_of_faces_and_points_give(rng: np.random.Generator) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=9.0)
    mesh = Mesh(np.array(ball.vertices), np.array(ball.faces, dtype=np.int64))
    points = rng.normal(0, 1, (120, 3))
    points *= (9.0 + rng.normal(0, 0.3, (120, 1))) / np.linalg.norm(points, axis=1, keepdims=True)
    ways = _ways(points, (0, 0, 60))
    ways[::5] = 0.0
    distances = points[None] - mesh.vertices[mesh.faces].mean(axis=1)[:, None]  # (F, N, 3)
    facing = ball.face_normals @ ways.T.astype(float) >= -0.2
    heights = np.abs(np.einsum("fnc,fc->fn", distances, ball.face_normals))
    near = np.linalg.norm(distances, axis=2) <= 2.0
    seen: np.ndarray = np.any(near & (heights <= np.where(facing, 0.75, 0.15)), axis=1)
    found = UnseenCut().hidden(mesh, SurfacePoints(points, ways))
    assert 500 < np.count_nonzero(found) < len(found) - 500
    np.testing.assert_array_equal(found, ~seen)
    assert (UnseenCut().hidden(mesh, SurfacePoints(points)) != found).any()
