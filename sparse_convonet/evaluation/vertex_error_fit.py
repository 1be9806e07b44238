"""From measured errors of vertices to the quantiles expected of others, and whether those hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from sparse_convonet.evaluation.vertex_errors import MeasuredVertices
from sparse_convonet.mesh.expected_error import ErrorModel
from sparse_convonet.metrics.certificate import ErrorShares

_ENDS = 0.002, 0.998  # of the features: beyond, those at the ends hold
_SMOOTH = 0.05  # half the width of the corner of the pinball loss that is rounded, of the logarithm of the error
_MOST = 0.999  # of the measured errors: what is expected at most
_RIDGE = 1e-4  # on coefficients of standardised terms


def fit_error_model(measured: Sequence[MeasuredVertices], model: str, command: str) -> ErrorModel:
    """Quantile regression (Koenker and Bassett 1978) of the logarithm of the error in voxels; all meshes weigh alike.

    Raises ValueError where no mesh has observed vertices.
    """
    seen = [each for each in measured if each.observed.any()]
    if not seen:
        raise ValueError(f"expected errors: expected meshes with observed vertices, found none of {len(measured)}")
    features = np.concatenate([each.features[each.observed] for each in seen])
    logs = np.concatenate([np.log(each.errors_m[each.observed] / each.voxel_size_m) for each in seen])
    weights = np.concatenate([np.full(each.observed.sum(), 1 / each.observed.sum()) for each in seen]) / len(seen)
    low, high = np.quantile(features, _ENDS, axis=0)
    terms = _terms(np.clip(features, low, high))
    guessed = np.concatenate([each.errors_m[~each.observed] for each in measured])
    return ErrorModel(
        model=model,
        command=command,
        meshes=len(seen),
        vertices=len(logs),
        low=low.tolist(),
        high=high.tolist(),
        within_68=_quantile_fit(terms, logs, weights, 0.68).tolist(),
        within_95=_quantile_fit(terms, logs, weights, 0.95).tolist(),
        most_voxels=float(np.exp(np.quantile(logs, _MOST))),
        guessed_68_m=float(np.quantile(guessed, 0.68)),
        guessed_95_m=float(np.quantile(guessed, 0.95)),
    )


@dataclass(frozen=True)
class ReliabilityRow:
    """Of one mesh: within which distance of the truth 68 % and 95 % of its observed vertices are, as expected and as
    measured, metres; and which shares of them are within the errors expected of each."""

    name: str
    voxel_size_m: float
    noise_m: float
    per_m2: float
    observed: float
    expected_68_m: float
    measured_68_m: float
    expected_95_m: float
    measured_95_m: float
    share_68: float
    share_95: float


def reliability(model: ErrorModel, measured: MeasuredVertices) -> ReliabilityRow:
    """Of a mesh with observed vertices."""
    seen = measured.observed
    errors = measured.errors_m[seen]
    within = [each * measured.voxel_size_m for each in model.within_voxels(measured.features[seen])]
    shares = ErrorShares()
    shares.add(within[0], within[1], np.ones(len(errors)))
    return ReliabilityRow(
        measured.name, measured.voxel_size_m, measured.noise_m, measured.per_m2, float(seen.mean()),
        shares.quantile_m(0.68), float(np.quantile(errors, 0.68)),
        shares.quantile_m(0.95), float(np.quantile(errors, 0.95)),
        float((errors <= within[0]).mean()), float((errors <= within[1]).mean()),
    )  # fmt: skip


def left_out_deviation(measured: Sequence[MeasuredVertices], groups: int = 4) -> tuple[float, float]:
    """How far the errors of 68 % and of 95 % that are expected of meshes are from those measured, as mean ratios less one.

    Each mesh is expected by a fit to the other groups.
    """
    ratios = []
    for group in range(groups):
        model = fit_error_model([each for n, each in enumerate(measured) if n % groups != group], "", "")
        for row in (reliability(model, each) for each in measured[group::groups]):
            ratios.append((row.expected_68_m / row.measured_68_m, row.expected_95_m / row.measured_95_m))
    found = np.exp(np.abs(np.log(ratios)).mean(axis=0)) - 1
    return float(found[0]), float(found[1])


def _terms(features: np.ndarray) -> np.ndarray:
    """(V, T): 1, the features (V, K), and their products, in the order of evaluate_polynomial."""
    count = features.shape[1]
    products = [features[:, a] * features[:, b] for a in range(count) for b in range(a, count)]
    return np.stack([np.ones(len(features)), *features.T, *products], axis=1)


def _quantile_fit(terms: np.ndarray, logs: np.ndarray, weights: np.ndarray, share: float) -> np.ndarray:
    """(T,) coefficients of terms (V, T), by the pinball loss, whose corner is rounded so that its slope is smooth."""
    mean, scale = terms.mean(axis=0), terms.std(axis=0)
    mean[0], scale[0] = 0.0, 1.0
    scale[scale == 0] = 1.0
    standard = (terms - mean) / scale

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        above = logs - standard @ coefficients
        slope = np.clip(above / _SMOOTH, -1, 1)
        rounded = np.where(np.abs(above) < _SMOOTH, above**2 / (2 * _SMOOTH) + _SMOOTH / 2, np.abs(above))
        value = weights @ (rounded / 2 + (share - 0.5) * above) + _RIDGE * coefficients[1:] @ coefficients[1:]
        gradient = -(weights * (slope / 2 + share - 0.5)) @ standard
        gradient[1:] += 2 * _RIDGE * coefficients[1:]
        return float(value), gradient

    start = np.zeros(terms.shape[1])
    start[0] = np.quantile(logs, share)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x / scale
    found[0] -= found[1:] @ mean[1:]
    return np.asarray(found)
