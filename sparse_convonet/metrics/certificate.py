"""How good a mesh is expected to be, in words that surveyors use: what was seen, and within which error, by storey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BINS_PER_OCTAVE = 16
_LEAST_M, _OCTAVES = 1e-4, 16  # of errors of 68 %
_RATIO_BINS, _RATIO_STEP = 96, 0.05  # of the logarithm of the ratio of the two errors
_GRID = 2048  # errors at which shares are added up
_TAIL_68, _TAIL_95 = -np.log(1 - 0.68), -np.log(1 - 0.95)

# USIBD Level of Accuracy Specification Guide (2016): bounds in metres, at 95 % confidence.
LEVELS_OF_ACCURACY = (("LOA50", 0.001), ("LOA40", 0.005), ("LOA30", 0.015), ("LOA20", 0.05))
NOT_COVERED = (
    "errors of the scan as a whole: its registration (overlap says what viewpoints miss each other by), its scale and its "
    "place; surface that was not seen; true surface of which the mesh has nothing"
)


class ErrorShares:
    """Which share of a surface is within an error, from the errors of its parts.

    Each part's errors are taken to be of a Weibull distribution, which its two quantiles decide.
    """

    def __init__(self) -> None:
        self._weights = np.zeros((_BINS_PER_OCTAVE * _OCTAVES, _RATIO_BINS))

    def add(self, within_68_m: np.ndarray, within_95_m: np.ndarray, weights: np.ndarray) -> None:
        """(V,) each: the errors of parts, metres, and how much of the surface they are."""
        size = np.log2(np.maximum(within_68_m, _LEAST_M) / _LEAST_M) * _BINS_PER_OCTAVE
        ratio = np.log(np.maximum(within_95_m / np.maximum(within_68_m, 1e-12), 1.0)) / _RATIO_STEP
        row = np.clip(size, 0, len(self._weights) - 1).astype(np.int64)
        column = np.clip(ratio, 0, _RATIO_BINS - 1).astype(np.int64)
        counts = np.bincount(row * _RATIO_BINS + column, weights, self._weights.size)
        self._weights += counts.reshape(self._weights.shape)

    def join(self, other: ErrorShares) -> None:
        """Add what another one has."""
        self._weights += other._weights

    @property
    def weight(self) -> float:
        """Of all parts."""
        return float(self._weights.sum())

    def quantile_m(self, share: float) -> float:
        """The error, metres, within which this share of the surface is; NaN of none."""
        if self.weight <= 0:
            return float("nan")
        row, column = np.nonzero(self._weights)
        within_68 = _LEAST_M * 2 ** ((row + 0.5) / _BINS_PER_OCTAVE)
        ratio = np.exp((column + 0.5) * _RATIO_STEP)
        shape = np.log(_TAIL_95 / _TAIL_68) / np.log(ratio)
        scale = within_68 / _TAIL_68 ** (1 / shape)
        weights = self._weights[row, column] / self.weight
        errors = np.geomspace(_LEAST_M / 16, _LEAST_M * 2 ** (_OCTAVES + 4), _GRID)
        within = np.array([weights @ -np.expm1(-((error / scale) ** shape)) for error in errors])
        return float(np.exp(np.interp(share, within, np.log(errors))))


@dataclass(frozen=True)
class StoreyCertificate:
    """floor_z: metres.  area_m2: of the surface.  observed: share of it near points.  error_68_m, error_95_m: within which
    that is of the true surface; None where nothing was observed.  level_of_accuracy: of LEVELS_OF_ACCURACY."""

    floor_z: float
    area_m2: float
    observed: float
    error_68_m: float | None
    error_95_m: float | None
    level_of_accuracy: str | None


@dataclass(frozen=True)
class Certificate:
    """The same of the whole surface, and of each storey, from the lowest up."""

    observed: float
    error_68_m: float | None
    error_95_m: float | None
    level_of_accuracy: str | None
    storeys: tuple[StoreyCertificate, ...]


class CertificateSums:
    """Adds up a surface that comes in parts.  floors_z: of the storeys, metres.  bottoms_z: where they begin, ascending;
    what lies lower belongs to the first."""

    def __init__(self, floors_z: Sequence[float], bottoms_z: Sequence[float]) -> None:
        self._floors, self._bottoms = floors_z, np.asarray(bottoms_z, dtype=np.float64)
        self._seen = [ErrorShares() for _ in floors_z]
        self._areas = np.zeros(len(floors_z))

    def add(
        self,
        heights: np.ndarray,
        areas: np.ndarray,
        observed: np.ndarray,
        within_68_m: np.ndarray,
        within_95_m: np.ndarray,
    ) -> None:
        """(V,) of vertices: heights, the areas that they stand for, m2, whether points are near, and errors expected."""
        storey = np.clip(np.searchsorted(self._bottoms, heights, side="right") - 1, 0, None)
        for number, seen in enumerate(self._seen):
            here = storey == number
            self._areas[number] += areas[here].sum()
            rows = here & observed
            seen.add(within_68_m[rows], within_95_m[rows], areas[rows])

    def finish(self) -> Certificate:
        """Of what was added, which has an area."""
        whole = ErrorShares()
        for seen in self._seen:
            whole.join(seen)
        storeys = tuple(
            StoreyCertificate(float(floor), float(area), *_graded(seen, area))
            for floor, area, seen in zip(self._floors, self._areas, self._seen, strict=True)
        )
        return Certificate(*_graded(whole, self._areas.sum()), storeys)


def level_of_accuracy(error_95_m: float) -> str:
    """The level of the USIBD guide whose bound the error keeps at 95 % confidence."""
    for name, bound in LEVELS_OF_ACCURACY:
        if error_95_m <= bound:
            return name
    return "LOA10"


def _graded(seen: ErrorShares, area: float) -> tuple[float, float | None, float | None, str | None]:
    if seen.weight <= 0:
        return 0.0, None, None, None
    within_68, within_95 = seen.quantile_m(0.68), seen.quantile_m(0.95)
    return float(min(1.0, seen.weight / area)), within_68, within_95, level_of_accuracy(within_95)
