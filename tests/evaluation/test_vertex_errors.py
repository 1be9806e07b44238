"""From measured errors of vertices to expected ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.evaluation.vertex_error_fit import fit_error_model, left_out_deviation, reliability
from sparse_convonet.evaluation.vertex_errors import MeasuredVertices, load, measure_scenes, measure_vertices, save
from sparse_convonet.model.weights import load_model
from sparse_convonet.structures import Mesh


def _measured(rng: np.random.Generator, worse: float = 1.0) -> MeasuredVertices:
    """Errors that grow with the second feature, of a fifth of the vertices nothing is known."""
    features = rng.uniform(-1, 1, (3000, 8))
    scale = 0.05 * np.exp(-2 + features[:, 1] + 0.5 * features[:, 1] ** 2)
    errors = worse * scale * rng.weibull(1.5, 3000)
    observed = rng.random(3000) < 0.8
    return MeasuredVertices("made up", 0.05, 0.01, 500.0, features, observed, np.where(observed, errors, 0.2))


def test_quantiles_are_found_and_hold_on_others(rng: np.random.Generator) -> None:
    model = fit_error_model([_measured(rng) for _ in range(5)], "some", "by hand")
    row = reliability(model, _measured(rng))
    assert (row.share_68, row.share_95) == (pytest.approx(0.68, abs=0.03), pytest.approx(0.95, abs=0.02))
    assert row.expected_68_m == pytest.approx(row.measured_68_m, rel=0.08)
    assert row.expected_95_m == pytest.approx(row.measured_95_m, rel=0.1)
    assert model.guessed_68_m == pytest.approx(0.2)
    assert (model.meshes, model.model, model.command) == (5, "some", "by hand")


def test_meshes_of_one_kind_are_expected_by_the_others_and_one_of_another_kind_is_not(rng: np.random.Generator) -> None:
    alike = [_measured(rng) for _ in range(8)]
    assert max(left_out_deviation(alike)) < 0.12
    assert left_out_deviation([*alike, _measured(rng, worse=8.0)])[0] > 0.15


def test_errors_twice_as_large_are_noticed(rng: np.random.Generator) -> None:
    model = fit_error_model([_measured(rng) for _ in range(5)], "some", "by hand")
    row = reliability(model, _measured(rng, worse=2.0))
    assert row.share_68 < 0.45
    assert row.measured_68_m > 1.7 * row.expected_68_m


def test_without_a_mesh_nothing_is_fitted() -> None:
    with pytest.raises(ValueError, match="expected meshes with observed vertices, found none of 0"):
        fit_error_model([], "some", "by hand")


def test_vertices_are_compared_with_the_truth_and_kept(rng: np.random.Generator, tmp_path: Path) -> None:
    points = np.c_[rng.uniform(0, 2, (3000, 2)), rng.normal(0, 0.01, 3000)]
    ground = Mesh(
        np.array([[-9.0, -9, -0.3], [9, -9, -0.3], [9, 9, -0.3], [-9, 9, -0.3]]), np.array([[0, 1, 2], [0, 2, 3]])
    )
    measured = measure_vertices("flat", load_model("building"), points, ground, 0.1, 0.01, rng)
    save(tmp_path / "flat.npz", measured)
    found = load(tmp_path / "flat.npz")
    assert (found.name, found.voxel_size_m, found.noise_m) == ("flat", 0.1, 0.01)
    assert (found.features == measured.features).all() and (found.observed == measured.observed).all()
    assert len(found.errors_m) == len(found.features) > 100
    assert found.errors_m.max() < 3  # of a surface about the points, over a ground that lies 30 cm below
    assert found.observed.any()


def test_what_was_measured_is_not_made_again(rng: np.random.Generator, tmp_path: Path) -> None:
    save(tmp_path / "scene_3.npz", _measured(rng))
    library = FurnitureLibrary.load()
    (found,) = measure_scenes(load_model("building"), library, [3], tmp_path)
    assert found.name == "made up"
