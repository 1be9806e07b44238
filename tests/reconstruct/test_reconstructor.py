"""From points to a mesh with the shipped model: frames, symmetries, options."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import pytest
import trimesh

from sparse_convonet import Reconstructor
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.surface import nearest_distance
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstruction
from sparse_convonet.structures import LengthUnit, PointCloud
from tests.synthetic_scan import room_points

VOXEL_M = 0.08
DISK_BYTES = 800_000_000  # less than a scan takes in one piece, enough for small tiles
ROOM_AREA_M2 = 43.6  # of its inner surface and the box


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return load_model("building")


def run(
    model: TrainedModel, points: np.ndarray, colours: np.ndarray | None = None, **settings: object
) -> Reconstruction:
    chosen = ReconstructionSettings(**{"voxel_size_m": VOXEL_M, **settings})  # type: ignore[arg-type]
    return Reconstructor(model, chosen).run(PointCloud(points, colours))


@pytest.fixture(scope="module")
def plain(model: TrainedModel) -> Reconstruction:
    return run(model, room_points())


def distances(points: np.ndarray, result: Reconstruction) -> np.ndarray:
    return nearest_distance(points, result.mesh.vertices, result.mesh.faces)


def test_mesh_passes_near_the_points_and_is_watertight(plain: Reconstruction) -> None:
    assert (distances(room_points(), plain) < VOXEL_M).mean() > 0.95
    mesh = plain.mesh.to_trimesh()
    assert isinstance(mesh, trimesh.Trimesh) and mesh.is_watertight
    assert set(plain.level_cells) == {1, 2, 4, 8, 16}


def test_arrays_open3d_and_trimesh_clouds_give_the_same_mesh(model: TrainedModel) -> None:
    points = room_points(6000)
    legacy = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    settings = ReconstructionSettings(voxel_size_m=0.12, field_normals=False)
    meshes = [Reconstructor(model, settings).reconstruct(each) for each in (points, legacy, trimesh.PointCloud(points))]
    for mesh in meshes[1:]:
        np.testing.assert_array_equal(mesh.faces, meshes[0].faces)
        np.testing.assert_allclose(mesh.vertices, meshes[0].vertices, atol=1e-9)


def test_points_that_are_not_finite_are_refused(model: TrainedModel) -> None:
    points = room_points(100)
    points[3, 1] = np.nan
    with pytest.raises(ValueError, match="expected finite coordinates"):
        Reconstructor(model).reconstruct(points)


@pytest.mark.parametrize("shift", [(7 * VOXEL_M, -3 * VOXEL_M, VOXEL_M), (5e5, -5e5, 0.0)])
def test_shifted_scan_gives_the_same_mesh_up_to_the_shift(
    model: TrainedModel, plain: Reconstruction, shift: tuple[float, float, float]
) -> None:
    moved = run(model, room_points() + np.array(shift))
    assert len(moved.mesh.faces) == len(plain.mesh.faces)
    np.testing.assert_array_equal(moved.mesh.faces, plain.mesh.faces)
    np.testing.assert_allclose(moved.mesh.vertices - np.array(shift), plain.mesh.vertices, atol=1e-4)


@pytest.mark.parametrize("up", ["x", "y"])
def test_mesh_overlays_a_scan_in_millimetres_with_another_axis_up(
    model: TrainedModel, plain: Reconstruction, up: str
) -> None:
    turned = room_points() @ up_rotation(up) * 1000  # the rows of a rotation are its inverse's columns
    result = run(model, turned, up=up, scale=0.001)
    assert (distances(turned, result) < 1000 * VOXEL_M).mean() > 0.95
    back = result.mesh.vertices @ up_rotation(up).T / 1000
    np.testing.assert_allclose(back.min(axis=0), plain.mesh.vertices.min(axis=0), atol=0.01)
    np.testing.assert_allclose(back.max(axis=0), plain.mesh.vertices.max(axis=0), atol=0.01)


def test_colours_of_the_scan_are_those_of_the_mesh_nearby(model: TrainedModel) -> None:
    points = room_points()
    colours = np.where(points[:, :1] < 1.5, [[200, 0, 0]], [[0, 0, 200]]).astype(np.uint8)
    mesh = run(model, points, colours, field_normals=False).mesh
    assert mesh.colours is not None
    left, right = mesh.vertices[:, 0] < 1.3, mesh.vertices[:, 0] > 1.7
    assert (mesh.colours[left] == [200, 0, 0]).all() and (mesh.colours[right] == [0, 0, 200]).all()


def test_normals_of_the_field_agree_with_the_faces(plain: Reconstruction) -> None:
    mesh = plain.mesh.to_trimesh()
    corner_normals = mesh.vertex_normals[mesh.faces]
    agreement = np.einsum("fcd,fd->fc", corner_normals, mesh.face_normals)
    assert (agreement > 0.5).mean() > 0.95


def test_simplification_to_faces_and_to_an_error(model: TrainedModel, plain: Reconstruction) -> None:
    few = run(model, room_points(), simplify_faces=20_000, field_normals=False)
    assert len(few.mesh.faces) <= 21_000 < len(plain.mesh.faces)
    near = run(model, room_points(), simplify_error_mm=20, field_normals=False)
    assert len(near.mesh.faces) < len(plain.mesh.faces)
    assert distances(plain.mesh.vertices[::7], near).max() <= 0.0201


def test_observed_only_cuts_what_no_point_saw(model: TrainedModel, plain: Reconstruction) -> None:
    points = room_points()
    cut = run(model, points, observed_only_voxels=1.5, field_normals=False)
    assert 0 < len(cut.mesh.faces) < len(plain.mesh.faces)
    assert (distances(points, cut) < VOXEL_M).mean() > 0.95
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    mesh_points = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(cut.mesh.vertices))
    far = np.asarray(mesh_points.compute_point_cloud_distance(cloud)) > 2.5 * VOXEL_M
    assert far.mean() < 0.01


def test_inner_surface_of_a_room_scanned_from_inside_has_no_outside(model: TrainedModel, plain: Reconstruction) -> None:
    inner = run(model, room_points(), surface="inner", field_normals=False)
    assert (distances(room_points(), inner) < VOXEL_M).mean() > 0.95
    before, after = (mesh_statistics(found.mesh) for found in (plain, inner))
    assert before.watertight and not after.watertight
    assert after.area < 0.7 * before.area
    assert after.area == pytest.approx(ROOM_AREA_M2, rel=0.15)


def test_scanners_reach_the_inner_surface_of_a_scan_that_goes_through_the_disk(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (48,))
    points = room_points(5000)
    chosen = ReconstructionSettings(voxel_size_m=0.12, surface="inner")
    outside = np.tile([1.5, 1.0, 30.0], (len(points), 1))  # sees the floor as the room does, the ceiling from behind
    whole, tiled = (
        Reconstructor(model, settings).run(PointCloud(points, scanners=outside))
        for settings in (chosen, replace(chosen, memory_bytes=DISK_BYTES))
    )
    assert tiled.plan.tiles > 1
    np.testing.assert_array_equal(tiled.mesh.vertices, whole.mesh.vertices)
    np.testing.assert_array_equal(tiled.mesh.faces, whole.mesh.faces)
    unknown = Reconstructor(model, chosen).run(PointCloud(points))
    assert len(unknown.mesh.faces) != len(whole.mesh.faces)


def test_refinement_brings_vertices_nearer_to_the_level_set(model: TrainedModel) -> None:
    def mean_error(steps: int) -> float:
        points = room_points()
        reconstructor = Reconstructor(
            model, ReconstructionSettings(voxel_size_m=VOXEL_M, refine_steps=steps, field_normals=False)
        )
        result = reconstructor.run(PointCloud(points))
        logits = reconstructor.encode(points).logits(result.mesh.vertices)
        level = np.log(result.threshold / (1 - result.threshold))
        return float(np.abs(logits - level).mean())

    assert mean_error(3) < 0.5 * mean_error(0)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"observed_only_voxels": 1.0, "simplify_faces": 2000},
        {"surface": "inner"},
        {"twice": True},
    ],
)
def test_a_scan_that_does_not_fit_the_memory_goes_through_the_disk_to_the_same_mesh(
    model: TrainedModel, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (48,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    points = room_points(5000)
    points = np.concatenate([points, points[:40]])  # repeated points count, as in one piece
    points = points[:, [0, 2, 1]] * [1, 1, -1] * 1000
    colours = np.arange(3 * len(points)).reshape(-1, 3).astype(np.uint8)
    chosen = ReconstructionSettings(voxel_size_m=0.12, up="y", scale=0.001, **more)
    cloud = PointCloud(points, colours)
    whole = Reconstructor(model, chosen).run(cloud)
    tiled = Reconstructor(model, replace(chosen, memory_bytes=DISK_BYTES)).run(cloud)
    assert whole.plan.tile_voxels is None and tiled.plan.tiles > 1 and tiled.plan.reason == whole.plan.reason
    for name in ("vertices", "faces", "normals", "colours"):
        np.testing.assert_array_equal(getattr(tiled.mesh, name), getattr(whole.mesh, name))
    assert (tiled.level_cells, tiled.removed_pieces) == (whole.level_cells, whole.removed_pieces)
    assert set(tiled.seconds) == set(whole.seconds)
    assert not list(tmp_path.iterdir())


def test_a_scan_that_is_encoded_twice_has_the_mean_of_both_fields(model: TrainedModel) -> None:
    points, queries = room_points(5000), room_points(300, seed=1)
    once = ReconstructionSettings(voxel_size_m=0.12)
    twice = Reconstructor(model, replace(once, twice=True)).encode(points).logits(queries)
    lowest = np.append(points, [points.min(axis=0) - 0.06], axis=0)  # moves the voxels by half of one
    first, moved = (Reconstructor(model, once).encode(cloud).logits(queries) for cloud in (points, lowest))
    far = np.linalg.norm(queries - lowest[-1], axis=1) > 2.0  # from the point that was added
    expected = (first + moved)[far] / 2
    assert np.median(np.abs(twice[far] - expected)) < 0.2 * np.median(np.abs(first - moved)[far])


def test_what_no_tile_fits_is_refused_and_leaves_nothing_behind(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match=r"which take the least, found 0.0009\d+ GB allowed; allow that much"):
        run(model, room_points(2000), memory_bytes=1_000_000)
    assert not list(tmp_path.iterdir())


MEMORY_SCRIPT = """
import sys, numpy as np
from sparse_convonet import Reconstructor, ReconstructionSettings
from sparse_convonet.structures import LengthUnit, PointCloud
from sparse_convonet.runtime.memory import peak_memory_bytes
from tests.synthetic_scan import room_points
room = room_points(20_000)
points = np.concatenate([room, room + [float(sys.argv[1]), 0, 0]])
settings = ReconstructionSettings(voxel_size_m=0.08)
result = Reconstructor.from_pretrained("building", settings=settings).run(PointCloud(points))
print(peak_memory_bytes(), *result.level_cells.values(), len(result.mesh.faces))
"""


def test_an_empty_kilometre_costs_no_memory() -> None:
    def measure(gap_m: float) -> tuple[int, list[int]]:
        # Whole coarse cells between the rooms, so that both copies look the same to the network.
        command = [sys.executable, "-W", "ignore", "-c", MEMORY_SCRIPT, str(gap_m)]
        # One thread and one malloc arena: the peak then repeats to a percent, with more it varies by some ten.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=200)
        words = found.stdout.split()
        return int(words[0]), [int(word) for word in words[1:]]

    near_bytes, near_sizes = measure(16 * VOXEL_M * 8)
    far_bytes, far_sizes = measure(16 * VOXEL_M * 800)  # 1024 m
    assert far_sizes == near_sizes
    assert abs(far_bytes - near_bytes) < 0.1 * near_bytes


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scale": 0.0}, "scale: expected a positive number"),
        ({"threshold": 1.5}, "tau: expected a probability"),
        ({"observed_only_voxels": -1.0}, "observed-only: expected a positive distance"),
        ({"observed_only_voxels": float("inf")}, "observed-only: expected a positive distance in voxels, found inf"),
        ({"surface": "outer"}, "surface: expected closed or inner, found 'outer'"),
        (
            {"surface": "inner", "observed_only_m": 0.2},
            "surface: expected inner or observed-only, found both; give one",
        ),
        ({"observed_only_m": 0.0}, "observed-only: expected a positive distance in metres, found 0.0"),
        (
            {"observed_only_voxels": 1.0, "observed_only_m": 1.0},
            "expected a distance in voxels or in metres, found both",
        ),
        ({"simplify_faces": 10, "simplify_error_mm": 1.0}, "found both"),
        ({"refine_steps": -1}, "refine: expected 0 or more"),
        ({"simplify_faces": 3}, "simplify: expected at least 4 faces to keep, found 3"),
        ({"simplify_error_mm": 0.0}, "simplify: expected a positive error in mm, found 0.0"),
        ({"smallest_piece_m2": -1.0}, "smallest piece: expected square metres of at least 0, found -1.0"),
        ({"up": "w"}, "expected x, y, z, -x, -y, -z, found 'w'"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ReconstructionSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["reconstruct", "encode"])
def test_numbers_that_cannot_be_right_are_refused_unless_the_settings_say_the_scale(
    model: TrainedModel, name: str
) -> None:
    points = room_points(5000)
    ask = getattr(Reconstructor(model), name)
    with pytest.raises(
        ValueError, match=r"looks like millimetres; run again with ReconstructionSettings\(scale=0.001\)"
    ):
        ask(points * 1000)
    with pytest.raises(ValueError, match="found steps of 0.25 m between points"):
        ask((points + [5e5, 4e6, 120]).astype(np.float32))
    with pytest.raises(ValueError, match="found steps of 0.5 m between points"):  # where most repeat others
        ask((np.concatenate([points + 0.01 * shift for shift in range(9)]) + [5e6, 5e6, 5e6]).astype(np.float32))
    with pytest.raises(
        ValueError, match=r"expected metres, found foot, .*; pass ReconstructionSettings\(scale=0.3048\)"
    ):
        ask(PointCloud(points, unit=LengthUnit("foot", 0.3048)))
    settings = ReconstructionSettings(voxel_size_m=0.2, scale=0.001)
    assert getattr(Reconstructor(model, settings), name)(points * 1000) is not None


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.ones((500, 3)), "expected points that differ, found 500 times the same point"),
        (np.eye(3), "expected at least 50 usable points, found 3 of 3"),
    ],
    ids=["one place", "few"],
)
def test_points_that_are_no_surface_are_refused(model: TrainedModel, points: np.ndarray, message: str) -> None:
    for ask in (Reconstructor(model).reconstruct, Reconstructor(model).encode):
        with pytest.raises(ValueError, match=message):
            ask(points)
