"""Stage mesh: how far each vertex is expected to be from the true surface, by what the points say of it.

The errors of reconstructions of generated buildings, whose truth is known, were measured; their quantiles follow from
what mesh.point_support says of a vertex by a regression (Koenker and Bassett 1978, Regression Quantiles) on the logarithm
of the error (evaluation.vertex_error_fit).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from sparse_convonet.mesh.point_support import PointSupport
from sparse_convonet.mesh.point_support_numba import evaluate_polynomial
from sparse_convonet.runtime.atomic import atomic_path

OBSERVED, ERROR_68, ERROR_95 = "observed", "expected_error", "expected_error_95"  # attributes of a mesh, ...
ERROR_ATTRIBUTES: dict[str, np.dtype] = {
    OBSERVED: np.dtype("u1"),
    ERROR_68: np.dtype("f4"),
    ERROR_95: np.dtype("f4"),
}  # ... in this order
FEATURES = (
    "log (1 + count)",
    "log (0.05 + spread)",
    "log (0.05 + |offset|)",
    "nearest",
    "log (voxel / 0.08 m)",
    "log (points per voxel)",
    "lean",
    "others",
)
SHIPPED = "expected_error.json"
_LEAST_RATIO = 1.2  # of the two errors
_ROUNDED = 1e-3  # by which sizes may differ and be the same


@dataclass(frozen=True)
class ScanScale:
    """Of a whole scan.  voxel_size_m: metres.  points_per_voxel: of the voxels with points, in the mean.  A vertex with few
    points near is one thing in a sparse scan, and another in a dense one."""

    voxel_size_m: float
    points_per_voxel: float


@dataclass(frozen=True)
class ErrorModel:
    """Quantiles of the error of vertices, which follow from FEATURES.

    model: whose errors were measured.  command: that made this.  meshes, vertices: how many were measured.  low, high: of
    the features; beyond, these hold.  within_68, within_95: of mesh.point_support_numba.evaluate_polynomial, logarithms
    of the error in voxels.  most_voxels: no more was measured, but in one of a thousand; no more is expected.
    guessed_68_m, guessed_95_m: of vertices without points near.
    """

    model: str
    command: str
    meshes: int
    vertices: int
    low: Sequence[float]
    high: Sequence[float]
    within_68: Sequence[float]
    within_95: Sequence[float]
    most_voxels: float
    guessed_68_m: float
    guessed_95_m: float

    def __post_init__(self) -> None:
        count = len(FEATURES)
        terms = 1 + count + count * (count + 1) // 2
        found = [len(each) for each in (self.low, self.high, self.within_68, self.within_95)]
        if found != [count, count, terms, terms]:
            raise ValueError(
                f"expected errors: expected {count} features and {terms} coefficients, found {found}; make them anew "
                "with tools/fit_expected_error.py"
            )

    def within_voxels(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(V,) float64 each, voxels: within which 68 % and 95 % of vertices with points near and features (V, K) are."""
        within = []
        for coefficients in (self.within_68, self.within_95):
            found = np.empty(len(features))
            evaluate_polynomial(
                np.ascontiguousarray(features), np.array(self.low), np.array(self.high), np.array(coefficients), found
            )
            within.append(
                np.minimum(found, self.most_voxels)
            )  # where no vertex was like that, the fit may say anything
        return within[0], np.maximum(within[1], _LEAST_RATIO * within[0])

    def errors_m(self, support: PointSupport, scan: ScanScale) -> tuple[np.ndarray, np.ndarray]:
        """(V,) float32 each, metres: within which 68 % and 95 % of such vertices are from the true surface."""
        within_68, within_95 = self.within_voxels(features_of(support, scan))
        guesses = (within_68, self.guessed_68_m), (within_95, self.guessed_95_m)
        found = [np.where(support.observed, within * scan.voxel_size_m, guess) for within, guess in guesses]
        return found[0].astype(np.float32), found[1].astype(np.float32)

    def not_measured(self, scan: ScanScale, model: str) -> list[str]:
        """Why the errors of a mesh are guesses: a clause for each way in which it is not like those that were measured."""
        reasons = [] if model == self.model else [f"errors were measured of the model {self.model}, not of {model}"]
        sizes = [100 * 0.08 * np.exp(each[4]) for each in (self.low, self.high)]
        counts = [np.exp(each[5]) for each in (self.low, self.high)]
        for name, unit, value, (low, high) in (
            ("voxels", " cm", 100 * scan.voxel_size_m, sizes),
            ("points per voxel", "", scan.points_per_voxel, counts),
        ):
            if not low * (1 - _ROUNDED) <= value <= high * (1 + _ROUNDED):
                fewest, most, found = (f"{float(f'{each:.2g}'):g}" for each in (low, high, value))
                reasons.append(f"{name}: measured from {fewest} to {most}{unit}, found {found}{unit}")
        return reasons

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ErrorModel:
        """Raises ValueError where the file is none."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{each.name: values[each.name] for each in fields(cls)})
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}: expected what tools/fit_expected_error.py writes, found {error!r}; make it anew"
            ) from error


@cache
def shipped_error_model() -> ErrorModel:
    """That of the default model."""
    return ErrorModel.load(Path(str(resources.files("sparse_convonet") / "pretrained" / SHIPPED)))


def features_of(support: PointSupport, scan: ScanScale) -> np.ndarray:
    """(V, 8) float64, in the order of FEATURES."""
    columns = [
        np.log1p(support.count),
        np.log(0.05 + support.spread),
        np.log(0.05 + np.abs(support.offset)),
        np.where(support.observed, support.nearest, 0.0),
        np.full(len(support.count), np.log(scan.voxel_size_m / 0.08)),
        np.full(len(support.count), np.log(scan.points_per_voxel)),
        support.lean,
        support.others,
    ]
    return np.stack(columns, axis=1)


def error_attributes(support: PointSupport, scan: ScanScale) -> dict[str, np.ndarray]:
    """What a mesh says of its vertices: whether points were near (1 or 0), and the errors expected, millimetres."""
    within_68, within_95 = shipped_error_model().errors_m(support, scan)
    thousand = np.float32(1000)
    return {
        OBSERVED: support.observed.astype(np.uint8),
        ERROR_68: within_68 * thousand,
        ERROR_95: within_95 * thousand,
    }
