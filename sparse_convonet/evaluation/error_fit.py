"""The law of expected errors that follows from measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from scipy.optimize import least_squares

from sparse_convonet.evaluation.voxel_sizes import ErrorRow
from sparse_convonet.plan.error_law import Coefficients, ErrorLaw, ExpectedError, expected_error

# Coefficients to begin with, and how far from them, as a factor, they may go.
_START = Coefficients(30.0, 0.5, 2.0, 0.02, 0.005, 1.2, 0.5, 0.5, 0.03)
_MOST = 30.0
_SCAN_VARIANCE = 4.0  # of what is common to the rows of a scan, over that of a single row
_MISSING_WEIGHT = 2.0  # of the square root of the share that is missing, beside the logarithm of the mean error
_HELD = 0.1  # a coefficient on which nothing measured depends stays where it began


def fit_error_law(rows: Sequence[ErrorRow], model: str, command: str) -> ErrorLaw:
    """The law nearest to the rows, by their relative errors and the square roots of what is missing.

    What is common to the rows of one scan counts less than what changes with the voxel size: scenes differ more than
    sizes do.  Raises ValueError without rows.
    """
    if not rows:
        raise ValueError("error law: expected at least one measured row, found none; measure first")
    names = [(row.scene, row.observation, row.per_m2, row.noise_m) for row in rows]
    scans = np.unique(np.array([sorted(set(names)).index(name) for name in names]), return_inverse=True)[1]
    start = np.log(astuple(_START))

    def residuals(logs: np.ndarray) -> np.ndarray:
        law = Coefficients(*np.exp(logs))
        found = [predicted(law, row) for row in rows]
        means = np.array([np.log(each.mean_m / row.mean_m) for each, row in zip(found, rows, strict=True)])
        missing = np.array([each.missing**0.5 - row.holes**0.5 for each, row in zip(found, rows, strict=True)])
        return np.concatenate(
            [_within_scans(means, scans), _MISSING_WEIGHT * _within_scans(missing, scans), _HELD * (logs - start)]
        )

    reach = np.log(_MOST)
    logs = least_squares(residuals, start, bounds=(start - reach, start + reach)).x
    law = Coefficients(*(float(f"{value:.4g}") for value in np.exp(logs)))
    ratios = np.array([predicted(law, row).mean_m / row.mean_m for row in rows])
    misfit = float(np.exp(np.median(np.abs(np.log(ratios)))) - 1)
    return ErrorLaw(model, command, len(rows), round(misfit, 4), law)


def predicted(law: Coefficients, row: ErrorRow) -> ExpectedError:
    """What a law expects of a row's scan."""
    per_m2 = np.array(row.seen_per_m2)
    return expected_error(law, per_m2, np.ones(len(per_m2)), row.seen_noise_m, row.voxel_size_m)


def _within_scans(residuals: np.ndarray, scans: np.ndarray) -> np.ndarray:
    """(rows,) residuals that are independent, of such that share a part in each scan; scans: (rows,) numbers from 0."""
    counts = np.bincount(scans)
    shared = (1 - 1 / np.sqrt(1 + _SCAN_VARIANCE * counts)) * np.bincount(scans, residuals) / counts
    return np.asarray(residuals - shared[scans])
