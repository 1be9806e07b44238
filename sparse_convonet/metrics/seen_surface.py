"""Scores on the surface that a scanner could see: the same noise-free rays cast at prediction and truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scanner.ray_patterns import panorama_directions
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.sides import SideShares, shares_of
from sparse_convonet.metrics.surface import f_score
from sparse_convonet.structures import Mesh

_HOLE_DEPTH_M = 0.2  # a ray that meets the prediction so far behind the truth went through a hole


@dataclass(frozen=True)
class ThresholdScores:
    """Shares of the distances prediction -> truth (precision) and truth -> prediction (recall) within a threshold."""

    threshold_m: float
    precision: float
    recall: float

    @property
    def f_score(self) -> float:
        return f_score(self.precision, self.recall)


@dataclass(frozen=True)
class SeenSurfaceScores:
    """Scores in metres over the rays that meet the truth.

    accuracy_m: mean distance of what the rays meet of the prediction to the truth.  completeness_m: mean
    distance of what they meet of the truth to the prediction.  Both are infinite where there is nothing to
    measure.  at: of each threshold; precision, recall and f_score are those of the first one.  hole_share: of the rays,
    those that meet nothing of the prediction, or only something 20 cm behind the truth.
    """

    accuracy_m: float
    completeness_m: float
    at: tuple[ThresholdScores, ...]
    normal_consistency: float
    hole_share: float
    rays: int

    @property
    def chamfer_m(self) -> float:
        return (self.accuracy_m + self.completeness_m) / 2

    @property
    def precision(self) -> float:
        return self.at[0].precision

    @property
    def recall(self) -> float:
        return self.at[0].recall

    @property
    def f_score(self) -> float:
        return self.at[0].f_score


def seen_surface_scores(
    predicted: Mesh,
    truth: Mesh,
    origins: np.ndarray,
    directions: np.ndarray,
    *,
    thresholds_m: Sequence[float] = (0.05,),
    max_range_m: float = 20.0,
) -> SeenSurfaceScores:
    """Scores of a predicted mesh along rays from (R, 3) origins in (R, 3) unit directions.

    Rays that meet nothing of the truth within max_range_m are dropped; a prediction without faces is
    all hole.  Raises ValueError where the truth has no faces or no ray meets it, and without a threshold.
    """
    return _scores(_cast(predicted, truth, origins, directions, max_range_m), thresholds_m)


def seen_surface_and_sides(
    predicted: Mesh,
    truth: Mesh,
    origins: np.ndarray,
    directions: np.ndarray,
    *,
    thresholds_m: Sequence[float],
    voxel_size_m: float,
    max_range_m: float = 20.0,
) -> tuple[SeenSurfaceScores, SideShares]:
    """The same, and metrics.sides.side_shares for the voxels of the prediction, from one cast of the rays."""
    cast = _cast(predicted, truth, origins, directions, max_range_m)
    return _scores(cast, thresholds_m), shares_of(cast.ranges - cast.truth_ranges, voxel_size_m)


@dataclass(frozen=True)
class _Cast:
    """origins, directions: (R, 3) of the rays that meet the truth, (R,) truth_ranges away, and the prediction, ranges away,
    infinite where they do not.  predicted: None without faces."""

    truth: TriangleScene
    predicted: TriangleScene | None
    origins: np.ndarray
    directions: np.ndarray
    truth_ranges: np.ndarray
    ranges: np.ndarray
    max_range_m: float


def _cast(predicted: Mesh, truth: Mesh, origins: np.ndarray, directions: np.ndarray, max_range_m: float) -> _Cast:
    truth_scene = TriangleScene(truth.vertices, truth.faces)
    truth_ranges, _ = truth_scene.first_hits(origins, directions)
    seen = truth_ranges <= max_range_m
    if not seen.any():
        raise ValueError(
            f"seen surface: expected rays that meet the truth within {max_range_m:g} m, found none of {len(seen)}; "
            "are the stations inside the building?"
        )
    origins, directions, truth_ranges = origins[seen], directions[seen], truth_ranges[seen]
    scene, ranges = None, np.full(len(origins), np.inf)
    if len(predicted.faces):
        scene = TriangleScene(predicted.vertices, predicted.faces)
        ranges, _ = scene.first_hits(origins, directions)
    return _Cast(truth_scene, scene, origins, directions, truth_ranges, ranges, max_range_m)


def _scores(cast: _Cast, thresholds_m: Sequence[float]) -> SeenSurfaceScores:
    if len(thresholds_m) == 0:
        raise ValueError("seen surface: expected at least one threshold in metres, found none")
    origins, directions, ranges, truth_ranges = cast.origins, cast.directions, cast.ranges, cast.truth_ranges
    if cast.predicted is None:
        nothing = tuple(ThresholdScores(threshold_m, 0.0, 0.0) for threshold_m in thresholds_m)
        return SeenSurfaceScores(np.inf, np.inf, nothing, 0.0, 1.0, len(origins))
    met = ranges <= cast.max_range_m
    to_truth, aligned_with_truth = _compare(
        cast.predicted, cast.truth, origins[met] + ranges[met, None] * directions[met]
    )
    to_predicted, aligned_with_predicted = _compare(
        cast.truth, cast.predicted, origins + truth_ranges[:, None] * directions
    )
    return SeenSurfaceScores(
        accuracy_m=float(to_truth.mean()) if met.any() else np.inf,
        completeness_m=float(to_predicted.mean()),
        at=tuple(
            ThresholdScores(
                threshold_m,
                precision=float((to_truth <= threshold_m).mean()) if met.any() else 0.0,
                recall=float((to_predicted <= threshold_m).mean()),
            )
            for threshold_m in thresholds_m
        ),
        normal_consistency=float(np.concatenate([aligned_with_truth, aligned_with_predicted]).mean()),
        hole_share=float((ranges > truth_ranges + _HOLE_DEPTH_M).mean()),
        rays=len(origins),
    )


def _compare(own: TriangleScene, other: TriangleScene, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) on one surface: (N,) distances to the other, (N,) |cosine| between the normals there."""
    distances, other_normals = other.nearest(points)
    _, own_normals = own.nearest(points)
    return distances, np.abs(np.einsum("ij,ij->i", own_normals, other_normals))


def station_rays(stations: np.ndarray, rays: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Origins (R, 3) and unit directions (R, 3): even panoramas of rays // S rays from each of (S, 3) stations."""
    if len(stations) == 0 or rays < len(stations):
        raise ValueError(
            "rays: expected at least one for each of at least one station, "
            f"found {rays} rays and {len(stations)} stations"
        )
    each = rays // len(stations)
    view = dataclasses.replace(ScannerSettings(), pole_crowding=0.0)
    directions = [panorama_directions(each, view, rng) for _ in stations]
    return np.repeat(stations, each, axis=0), np.concatenate(directions)
