"""All scores of one predicted mesh against the truth that a data set holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.winding import WindingNumbers
from sparse_convonet.metrics.occupancy import iou
from sparse_convonet.metrics.surface import (
    PUBLISHED_SAMPLES,
    SurfaceSamples,
    SurfaceScores,
    compare_samples_at,
    sample_mesh,
    samples_of_cloud,
    without_outside,
)
from sparse_convonet.structures import Mesh, PointCloud

UNIT_THRESHOLDS = (0.01, 0.015, 0.02)  # of the unit cube: the papers' 1 %, ScanNet's 1.5 %, and 2 %
METRIC_THRESHOLDS_M = (0.02, 0.05, 0.10)
_WALL_SAMPLES = 2  # times as many samples are drawn where some are to be dropped at the walls


@dataclass(frozen=True)
class Truth:
    """What a mesh is compared with, all in one frame (the unit cube, or metres).

    surface: samples of the true surface with normals.  queries: (Q, 3) and occupied: (Q,) bool, or None where there
    is no inside.
    """

    surface: SurfaceSamples
    queries: np.ndarray | None = None
    occupied: np.ndarray | None = None


@dataclass(frozen=True)
class MeshScores:
    """Scores of one mesh; lengths in the units of the frame.

    iou: of the mesh's inside, None where the truth has none.  f_scores: one per threshold, in their order.
    chamfer_l2: mean of both squared distances.  normals_accuracy, normals_completeness: the two means in
    normal_consistency; NaN where the normals of a cloud are not known.
    """

    iou: float | None
    accuracy: float
    completeness: float
    normal_consistency: float
    f_scores: tuple[float, ...]
    chamfer_l2: float | None = None
    normals_accuracy: float | None = None
    normals_completeness: float | None = None

    @property
    def chamfer_l1(self) -> float:
        return (self.accuracy + self.completeness) / 2


def score_mesh(
    predicted: Mesh,
    truth: Truth,
    thresholds: tuple[float, ...],
    rng: np.random.Generator,
    *,
    cut_at_walls: bool = False,
    up_axis: int = 1,
    samples: int = PUBLISHED_SAMPLES,
) -> MeshScores:
    """Score a mesh by the published protocol (Peng et al. 2020, section 4; Mescheder et al. 2019, section 4.1).

    cut_at_walls: the rule for synthetic rooms: of twice as many samples of the prediction, those beyond the truth's walls
    or below its floor are left out, and `samples` are drawn from the others with replacement, as in the published code.
    IoU: inside is where the winding number is at least a half.  An empty mesh, or one that the walls cut away, has
    distances sqrt(3) and normals -1; an empty one has IoU 0.
    """
    empty = len(predicted.faces) == 0 or not predicted.to_trimesh().area > 0
    drawn = SurfaceSamples(np.zeros((0, 3)), np.zeros((0, 3)))
    if not empty:
        drawn = sample_mesh(predicted, samples * (_WALL_SAMPLES if cut_at_walls else 1), rng)
    if cut_at_walls and not empty:
        kept = without_outside(drawn, truth.surface, up_axis)
        chosen = rng.integers(len(kept.points), size=samples if len(kept.points) else 0)
        drawn = SurfaceSamples(kept.points[chosen], kept.normals[chosen])
    found = compare_samples_at(drawn, truth.surface, thresholds)
    volume = None
    if truth.queries is not None and truth.occupied is not None:
        inside = np.zeros(len(truth.queries), dtype=bool)
        if not empty:
            inside = WindingNumbers(predicted.vertices, predicted.faces).occupied(truth.queries)
        volume = iou(inside, truth.occupied)
    return _scores_of(found, volume)


def _scores_of(found: tuple[SurfaceScores, ...], volume: float | None) -> MeshScores:
    """found: at each threshold."""
    return MeshScores(
        iou=volume,
        accuracy=found[0].accuracy,
        completeness=found[0].completeness,
        normal_consistency=found[0].normal_consistency,
        f_scores=tuple(each.f_score for each in found),
        chamfer_l2=found[0].chamfer_l2,
        normals_accuracy=found[0].normals_accuracy,
        normals_completeness=found[0].normals_completeness,
    )


def evaluate_mesh(
    predicted: Mesh | PointCloud,
    truth: Mesh | PointCloud,
    *,
    thresholds: tuple[float, ...] = METRIC_THRESHOLDS_M,
    samples: int = PUBLISHED_SAMPLES,
    seed: int = 0,
) -> MeshScores:
    """Score a mesh against the true surface, both in one frame, from `samples` random points on each; without IoU.

    Clouds are taken as they are, all their points.  thresholds: of the F-scores, in the units of the frame.  Raises
    ValueError for a truth without area, and clouds without points or with some that are not finite.
    """
    rng = np.random.default_rng(seed)
    surface = samples_of_cloud(truth) if isinstance(truth, PointCloud) else sample_mesh(truth, samples, rng)
    if isinstance(predicted, PointCloud):
        return _scores_of(compare_samples_at(samples_of_cloud(predicted), surface, thresholds), None)
    return score_mesh(predicted, Truth(surface), thresholds, rng, samples=samples)
