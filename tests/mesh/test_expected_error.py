"""The errors that are expected of vertices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.mesh.expected_error import (
    ERROR_68,
    ERROR_95,
    ERROR_ATTRIBUTES,
    OBSERVED,
    ErrorModel,
    ScanScale,
    error_attributes,
    features_of,
    shipped_error_model,
)
from sparse_convonet.mesh.point_support import PointSupport

SCAN = ScanScale(0.05, 4.0)


def _support(
    count: float, nearest: float, offset: float, spread: float, lean: float = 0.1, others: float = 0.0
) -> PointSupport:
    return PointSupport(*(np.array([value]) for value in (count, nearest, offset, spread, lean, others)))


def test_the_errors_are_the_polynomial_of_the_features(rng: np.random.Generator) -> None:
    model = replace(
        shipped_error_model(), low=[-10.0] * 8, high=[10.0] * 8,
        within_68=rng.normal(0, 0.1, 45).tolist(), within_95=(rng.normal(0, 0.1, 45) + 1).tolist(),
        most_voxels=np.inf,
    )  # fmt: skip
    support = PointSupport(*(rng.uniform(0, 1, 7) for _ in range(6)))
    x = features_of(support, SCAN)
    terms = [np.ones(7), *x.T, *(x[:, a] * x[:, b] for a in range(8) for b in range(a, 8))]
    logs = [sum(c * term for c, term in zip(each, terms, strict=True)) for each in (model.within_68, model.within_95)]
    found = model.errors_m(support, SCAN)
    np.testing.assert_allclose(found[0], 0.05 * np.exp(logs[0]), rtol=1e-6)
    np.testing.assert_allclose(found[1], 0.05 * np.maximum(np.exp(logs[1]), 1.2 * np.exp(logs[0])), rtol=1e-6)
    capped = replace(model, most_voxels=0.5).errors_m(support, SCAN)
    np.testing.assert_allclose(capped[0], np.minimum(found[0], 0.025), rtol=1e-6)
    assert (found[0] > 0.03).any() and capped[1].max() <= 0.03


def test_what_the_shipped_model_expects_is_what_anyone_would() -> None:
    model = shipped_error_model()

    def error(**changed: float) -> float:
        usual = {"count": 8.0, "nearest": 0.3, "offset": 0.02, "spread": 0.05}
        return float(model.errors_m(_support(**{**usual, **changed}), SCAN)[0][0])

    assert 0.0005 < error() < 0.01
    assert error(offset=0.5) > 1.5 * error()  # points beside the surface
    assert error(spread=0.4) > 1.2 * error()  # a noisy scan
    assert error(count=0.3, nearest=1.5, lean=1.5) > 1.5 * error()  # hardly a point
    assert error(lean=0.8) > 1.5 * error()  # where the scan ends
    assert error(others=0.3) > 1.2 * error()  # another surface close by
    guessed = model.errors_m(_support(0, np.inf, 0, 0), SCAN)
    assert guessed[0][0] == np.float32(model.guessed_68_m) > 2 * error()
    assert model.guessed_95_m > model.guessed_68_m


def test_attributes_are_in_millimetres_and_of_the_types_of_files() -> None:
    support = PointSupport(
        np.array([5.0, 0]), np.array([0.2, np.inf]), np.zeros(2), np.full(2, 0.1), np.zeros(2), np.zeros(2)
    )
    found = error_attributes(support, SCAN)
    assert {name: values.dtype for name, values in found.items()} == ERROR_ATTRIBUTES
    assert found[OBSERVED].tolist() == [1, 0]
    within_68, within_95 = shipped_error_model().errors_m(support, SCAN)
    np.testing.assert_allclose(found[ERROR_68], 1000 * within_68, rtol=1e-6)
    np.testing.assert_allclose(found[ERROR_95], 1000 * within_95, rtol=1e-6)


def test_features_beyond_what_was_measured_are_held_there() -> None:
    model = shipped_error_model()
    far, farther = (model.errors_m(_support(1e6 * times, 0.1, 0.0, 0.0), SCAN) for times in (1, 1000))
    assert far[0] == farther[0]


@pytest.mark.parametrize(
    ("scan", "model", "said"),
    [
        (ScanScale(0.05, 4.0), DEFAULT_MODEL, []),
        (ScanScale(0.04, 4.0), DEFAULT_MODEL, []),
        (ScanScale(0.2, 4.0), DEFAULT_MODEL, ["voxels: measured from 4 to 12 cm, found 20 cm"]),
        (ScanScale(0.05, 400.0), DEFAULT_MODEL, ["points per voxel: measured from 1.1 to 23, found 400"]),
        (ScanScale(0.05, 4.0), "mine", [f"errors were measured of the model {DEFAULT_MODEL}, not of mine"]),
    ],
    ids=["within", "at_the_end", "large", "dense", "another_model"],
)
def test_a_scan_beyond_what_was_measured_is_told(scan: ScanScale, model: str, said: list[str]) -> None:
    assert shipped_error_model().not_measured(scan, model) == said


def test_a_file_comes_back_and_another_is_refused(tmp_path: Path) -> None:
    model = shipped_error_model()
    model.save(tmp_path / "errors.json")
    assert ErrorModel.load(tmp_path / "errors.json") == model
    (tmp_path / "errors.json").write_text("{}")
    with pytest.raises(ValueError, match=r"errors\.json: expected what tools/fit_expected_error\.py writes, found"):
        ErrorModel.load(tmp_path / "errors.json")
    with pytest.raises(ValueError, match="expected 8 features and 45 coefficients, found"):
        replace(model, low=[0.0])
