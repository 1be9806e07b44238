"""Meshes that leak, gape or are no solids at all."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.furniture.solidify import (
    NotSolidError,
    SolidifySettings,
    fill_enclosed,
    solidify,
    surface_voxels,
)

SIZE_M = np.array([0.5, 0.4, 0.3])


def box_mesh(size_m: np.ndarray = SIZE_M) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.box(size_m)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def fine_box_without(hole_m: float, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """A box with a square hole of the given width in the middle of its upper side along one axis."""
    mesh = trimesh.creation.box(SIZE_M)
    for _ in range(6):
        mesh = mesh.subdivide()
    centres = mesh.triangles_center
    others = [other for other in range(3) if other != axis]
    hole = (np.abs(centres[:, others]) < hole_m / 2).all(axis=1) & (centres[:, axis] > SIZE_M[axis] / 2 - 1e-6)
    assert hole.any()
    return np.asarray(mesh.vertices), np.asarray(mesh.faces[~hole])


def volume_m3(solid: np.ndarray, voxel_size_m: float) -> float:
    return float(solid.sum()) * voxel_size_m**3


def test_closed_box_has_its_exact_size_and_volume():
    solid, voxel_size_m = solidify(*box_mesh())
    assert solid.all()
    np.testing.assert_allclose(np.array(solid.shape) * voxel_size_m, SIZE_M, atol=voxel_size_m / 2)
    assert volume_m3(solid, voxel_size_m) == pytest.approx(SIZE_M.prod(), rel=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_hollow_box_with_a_small_gap_is_filled_to_within_the_gap(axis):
    solid, voxel_size_m = solidify(*fine_box_without(0.03, axis), closed_sides=())
    whole, _ = solidify(*box_mesh())
    missing = whole.sum() - solid.sum()
    assert solid.shape == whole.shape
    assert 0 <= missing * voxel_size_m**3 <= 0.05**2 * voxel_size_m  # at most the gap itself, one voxel deep


def test_a_thin_shell_with_a_wide_opening_has_no_inside():
    with pytest.raises(NotSolidError, match="no inside"):
        solidify(*fine_box_without(0.2, 2))


def test_a_sheet_is_dropped_because_nothing_is_inside():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0.3], [1, 1, 0.3], [0, 1, 0]])
    with pytest.raises(NotSolidError, match="no inside: its surface encloses nothing") as caught:
        solidify(vertices, np.array([[0, 1, 2], [0, 2, 3]]))
    assert caught.value.reason == "no inside"


def test_a_thin_plate_is_kept_although_one_voxel_thick():
    plate, voxel_size_m = solidify(*box_mesh(np.array([1.8, 0.9, 0.03])))
    assert voxel_size_m == 0.01
    assert plate.shape[2] == 3 and plate.all()


@pytest.mark.parametrize(("size_m", "reason"), [((0.02, 0.02, 0.02), "too small"), ((5.0, 1.0, 1.0), "too large")])
def test_models_out_of_bounds_are_dropped_with_their_size(size_m, reason):
    with pytest.raises(NotSolidError, match=f"{reason}: largest side {max(size_m):.2f}"):
        solidify(*box_mesh(np.array(size_m)))


def test_empty_and_not_finite_meshes_are_dropped():
    vertices, faces = box_mesh()
    with pytest.raises(NotSolidError, match="empty"):
        solidify(vertices, faces[:0])
    with pytest.raises(NotSolidError, match="not finite"):
        solidify(np.where(vertices > 0, np.nan, vertices), faces)


def test_two_centimetre_legs_survive_as_one_connected_piece():
    from scipy import ndimage

    parts = [trimesh.creation.box((1.6, 0.8, 0.03)).apply_translation((0, 0, 0.72))]
    for x in (-0.78, 0.78):
        for y in (-0.38, 0.38):
            parts.append(trimesh.creation.box((0.02, 0.02, 0.72)).apply_translation((x, y, 0.36)))
    table = trimesh.util.concatenate(parts)
    solid, voxel_size_m = solidify(np.asarray(table.vertices), np.asarray(table.faces))
    _, pieces = ndimage.label(solid, np.ones((3, 3, 3)))
    _, feet = ndimage.label(solid[:, :, 0], np.ones((3, 3)))
    assert pieces == 1
    assert feet == 4
    height = solid.shape[2]
    assert not solid[:, :, : int(0.8 * height)].any(axis=2)[10:-10, 10:-10].any()  # nothing filled between the legs


def test_slits_narrower_than_the_closed_gaps_stay_open():
    slats = [trimesh.creation.box((0.01, 0.4, 0.6)).apply_translation((0.03 * k, 0, 0)) for k in range(20)]
    solid, voxel_size_m = solidify(
        *(lambda mesh: (np.asarray(mesh.vertices), np.asarray(mesh.faces)))(trimesh.util.concatenate(slats)),
        SolidifySettings(voxel_sizes_m=(0.005,)),
    )
    assert 0.3 < solid.mean() < 0.7


def test_what_is_open_only_to_the_floor_or_the_wall_is_filled():
    shell = np.zeros((12, 12, 12), dtype=bool)
    shell[[0, -1]] = shell[:, 0] = shell[:, :, -1] = True  # no bottom, no back
    assert not fill_enclosed(shell, 1)[6, 6, 6]
    assert not fill_enclosed(shell, 1, ("bottom",))[6, 6, 6]
    assert fill_enclosed(shell, 1, ("bottom", "back")).all()


def test_surface_voxels_agree_with_dense_random_samples():
    rng = np.random.default_rng(3)
    triangles = rng.uniform(0, 20, (10, 3, 3))
    marked = surface_voxels(triangles, (20, 20, 20))
    weights = rng.dirichlet((1, 1, 1), 20_000)
    cells = np.floor(np.einsum("pk,tkd->tpd", weights, triangles).reshape(-1, 3)).astype(int)
    sampled = np.zeros_like(marked)
    sampled[tuple(cells.T)] = True
    touched = np.zeros_like(marked)  # every voxel within half a sample spacing of a sampled point
    for shift in np.array(np.meshgrid([-0.3, 0, 0.3], [-0.3, 0, 0.3], [-0.3, 0, 0.3])).reshape(3, -1).T:
        points = np.clip(np.einsum("pk,tkd->tpd", weights, triangles).reshape(-1, 3) + shift, 0, 19.999)
        touched[tuple(np.floor(points).astype(int).T)] = True
    assert not (marked & ~touched).any()
    assert (marked & sampled).sum() > 0.85 * sampled.sum()  # only voxels that are barely clipped may be missed


def test_triangles_outside_of_the_grid_are_refused():
    with pytest.raises(ValueError, match="expected all within the grid"):
        surface_voxels(np.array([[[0.0, 0, 0], [5, 0, 0], [0, 5, 0]]]), (4, 4, 4))
