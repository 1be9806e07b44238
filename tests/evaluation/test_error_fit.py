"""Laws of expected errors: what follows from rows of a known law, and what is refused."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.evaluation.error_fit import fit_error_law, predicted
from sparse_convonet.evaluation.voxel_sizes import ErrorRow
from sparse_convonet.plan.error_law import Coefficients, ErrorLaw

ROW = ErrorRow(
    scene="building 0", observation="walk", per_m2=1000.0, noise_m=0.01, voxel_size_m=0.05, seen_per_m2=(1000.0,) * 10,
    seen_noise_m=0.01, to_mesh_m=(0.01, 0.02, 0.03), to_truth_m=(0.01, 0.02, 0.03), mean_m=0.01, holes=0.0,
    wrong_side=0.0, phantoms=0.0, rays=100,
)  # fmt: skip
TRUE = Coefficients(10.0, 1.0, 1.5, 0.03, 0.004, 1.4, 0.8, 0.7, 0.05)


def rows_of_the_law(rng: np.random.Generator, scans: int = 60, scene_factor: float = 0.0) -> list[ErrorRow]:
    """Three sizes of each scan; scene_factor: spread of the logarithm of what is common to them."""
    rows = []
    for number in range(scans):
        per_m2 = np.exp(rng.uniform(np.log(5), np.log(20_000))) * np.sort(np.exp(rng.normal(0, 0.5, 10)))
        noise_m = float(np.exp(rng.uniform(np.log(0.002), np.log(0.03))))
        factor = float(np.exp(scene_factor * rng.normal()))
        for size in rng.choice([0.02, 0.03, 0.04, 0.06, 0.08, 0.12], 3, replace=False):
            row = replace(
                ROW, scene=f"made {number}", seen_per_m2=tuple(per_m2), seen_noise_m=noise_m, voxel_size_m=float(size)
            )
            expected = predicted(TRUE, row)
            rows.append(replace(row, mean_m=factor * expected.mean_m, holes=expected.missing))
    return rows


def test_rows_of_a_law_give_that_law(rng: np.random.Generator) -> None:
    law = fit_error_law(rows_of_the_law(rng), "a law", "by hand")
    others = rows_of_the_law(rng)
    ratios = np.array([predicted(law.coefficients, row).mean_m / row.mean_m for row in others])
    assert np.quantile(np.abs(np.log(ratios)), 0.95) < 0.05
    assert law.misfit < 0.02 and law.rows == 180
    assert np.allclose(astuple(law.coefficients), astuple(TRUE), rtol=0.3)


def test_scenes_that_differ_by_more_than_the_sizes_do_not_hide_what_the_size_does(rng: np.random.Generator) -> None:
    law = fit_error_law(rows_of_the_law(rng, scene_factor=0.5), "a law", "by hand").coefficients
    for per_m2 in (300.0, 3000.0):
        rows = [replace(ROW, seen_per_m2=(per_m2,), seen_noise_m=0.004, voxel_size_m=size) for size in (0.04, 0.12)]
        found, true = ([predicted(each, row).mean_m for row in rows] for each in (law, TRUE))
        assert found[1] / found[0] == pytest.approx(true[1] / true[0], rel=0.25)


def test_a_law_comes_back_from_its_file(tmp_path: Path) -> None:
    law = ErrorLaw("a model", "by hand", 50, 0.1, TRUE)
    law.save(tmp_path / "law.json")
    assert ErrorLaw.load(tmp_path / "law.json") == law
    for text in ('{"model": "a law"}', "[]", '{"coefficients": {"voxel_m": 1}}', "{"):
        (tmp_path / "law.json").write_text(text)
        with pytest.raises(ValueError, match=r"law.json: expected a law of errors by tools/fit_voxel_sizes.py, found"):
            ErrorLaw.load(tmp_path / "law.json")


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one measured row, found none"):
        fit_error_law([], "a law", "by hand")
