"""Occupancy, logits, normals and what is known, at any point of an encoded scan."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet import OccupancyField, ReconstructionSettings, Reconstructor
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.extract.mise import threshold_logit
from sparse_convonet.mesh import query_chunks
from sparse_convonet.model.sparse import OUTSIDE_LOGIT
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import room_points

SETTINGS = ReconstructionSettings(voxel_size_m=0.08)


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return load_model("building")


@pytest.fixture(scope="module")
def field(model: TrainedModel) -> OccupancyField:
    return Reconstructor(model, SETTINGS).encode(room_points())


def queries(count: int = 2000) -> np.ndarray:
    """(Q, 3) in and around the room, some of them far away."""
    rng = np.random.default_rng(3)
    points = room_points()
    places = points[rng.integers(len(points), size=count)] + rng.normal(0, 0.2, (count, 3))
    places[::50] += 100.0
    return places


def test_the_mesh_lies_where_the_occupancy_is_the_threshold(model: TrainedModel, field: OccupancyField) -> None:
    settings = ReconstructionSettings(voxel_size_m=0.08, cell_size_m=0.01, refine_steps=3)
    points = room_points()
    points = points[(points[:, :2] < points[:, :2].min(axis=0) + 1.0).all(axis=1)]
    reconstructor = Reconstructor(model, settings)
    mesh = reconstructor.run(PointCloud(points)).mesh
    logits = reconstructor.encode(points).logits(mesh.vertices)
    assert np.median(np.abs(logits - threshold_logit(field.threshold))) < 0.01


def test_occupancy_is_the_logistic_function_of_the_logits_and_nothing_is_known_far_away(field: OccupancyField) -> None:
    places = queries()
    occupancy, logits, known = field.occupancy(places), field.logits(places), field.known(places)
    np.testing.assert_allclose(occupancy, 1 / (1 + np.exp(-logits.astype(np.float64))), rtol=1e-5)
    assert (occupancy.dtype, logits.dtype, known.dtype) == (np.float32, np.float32, np.bool_)
    assert not known[::50].any() and known.mean() > 0.9
    assert (logits[~known] == OUTSIDE_LOGIT).all() and (logits[known] != OUTSIDE_LOGIT).all()


def test_normals_are_unit_vectors_along_the_steepest_fall_of_the_logit(field: OccupancyField) -> None:
    places = queries(300)
    normals, known = field.normals(places), field.known(places)
    np.testing.assert_allclose(np.linalg.norm(normals[known], axis=1), 1, atol=1e-5)
    assert (normals[~known] == 0).all()
    step = 1e-4
    slopes = np.stack(
        [(field.logits(places + step * axis) - field.logits(places - step * axis)) / (2 * step) for axis in np.eye(3)],
        1,
    )
    steep = known & (np.linalg.norm(slopes, axis=1) > 5)
    cosine = -np.einsum("ij,ij->i", slopes[steep], normals[steep]) / np.linalg.norm(slopes[steep], axis=1)
    assert steep.sum() > 100 and np.median(cosine) > 0.999


@pytest.mark.parametrize("up", ["x", "y"])
def test_queries_are_in_the_frame_and_units_of_the_scan(model: TrainedModel, field: OccupancyField, up: str) -> None:
    settings = ReconstructionSettings(voxel_size_m=0.08, up=up, scale=0.001)
    turned = Reconstructor(model, settings).encode(room_points() @ up_rotation(up) * 1000)
    places = queries(200)
    there = places @ up_rotation(up) * 1000
    np.testing.assert_allclose(turned.logits(there), field.logits(places), atol=1e-3)
    np.testing.assert_allclose(turned.normals(there) @ up_rotation(up).T, field.normals(places), atol=1e-3)


def test_answers_do_not_depend_on_how_many_queries_there_are(
    field: OccupancyField, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = queries(500)
    logits, normals = field.logits(places), field.normals(places)
    monkeypatch.setattr(query_chunks, "QUERIES_AT_ONCE", 64)
    np.testing.assert_array_equal(field.logits(places), logits)
    np.testing.assert_allclose(field.normals(places), normals, atol=1e-5)
    assert field.logits(places[:0]).shape == (0,) and field.normals(places[:0]).shape == (0, 3)


def test_a_scan_that_does_not_fit_the_memory_gives_the_same_field_through_the_disk(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (48,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    settings = ReconstructionSettings(voxel_size_m=0.08, up="y", scale=0.001)
    points, places = (array[:, [0, 2, 1]] * [1, 1, -1] * 1000 for array in (room_points(4000), queries()))
    places = np.concatenate([places, [[1e9, -1e9, 1e9]]])
    whole = Reconstructor(model, settings).encode(points)
    tiled = Reconstructor(model, replace(settings, memory_bytes=800_000_000)).encode(points)
    (folder,) = tmp_path.iterdir()
    assert len([path for path in (folder / "encoded").iterdir() if path.is_dir()]) > 4
    assert 0 < whole.known(places).sum() < len(places)
    np.testing.assert_array_equal(tiled.known(places), whole.known(places))
    np.testing.assert_array_equal(tiled.logits(places), whole.logits(places))
    np.testing.assert_allclose(tiled.normals(places), whole.normals(places), atol=1e-5)
    assert (tiled.voxel_size_m, tiled.threshold) == (whole.voxel_size_m, whole.threshold)
    del tiled
    assert not list(tmp_path.iterdir())


def test_gradients_are_not_kept_and_the_field_works_where_they_are_on(field: OccupancyField) -> None:
    with torch.enable_grad():
        logits = field.logits(queries(10))
    np.testing.assert_array_equal(logits, field.logits(queries(10)))


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (np.zeros(3), r"expected an array of shape \(Q, 3\), one point a row, found \(3,\)"),
        (np.zeros((4, 2)), r"found \(4, 2\)"),
        (np.full((1, 3), np.nan), "expected finite coordinates"),
    ],
)
def test_queries_that_are_no_points_are_refused(field: OccupancyField, places: np.ndarray, message: str) -> None:
    for ask in (field.occupancy, field.logits, field.known, field.normals):
        with pytest.raises(ValueError, match=message):
            ask(places)


def test_points_that_are_not_finite_are_refused(model: TrainedModel) -> None:
    points = room_points(100)
    points[3, 1] = np.inf
    with pytest.raises(ValueError, match="expected finite coordinates"):
        Reconstructor(model).encode(points)
