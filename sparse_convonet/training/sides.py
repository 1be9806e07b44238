"""Whether the field has the room's side of floors, ceilings and walls free: a cheap look at empty halls, without meshes.

`sparse-convonet validate --sides` measures the same on meshes, of scans with all their points.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.data.batching import pack_batch
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.validation import predict_probabilities

logger = logging.getLogger(__name__)

_SEED_OFFSET = 1_000_033  # halls draw from another seed than scenes
_POINTS_PER_VOXEL = 4  # per square of a voxel's side on a surface: few, but no voxel on it stays empty for long
_RAYS = 1000  # at each kind of surface
# Along each ray, in voxels before the true surface: two places in the room, and one in the solid.
_OFFSETS_VOXELS = (1.5, 0.5, -0.5)


@dataclass(frozen=True)
class SidesScore:
    """Shares of the rays of a hall, or the means of several halls.

    wrong: half a voxel or one and a half before the true surface is occupied.  holes: half a voxel behind it is free.
    """

    wrong: float
    holes: float


def sides_halls(config: ExperimentConfig) -> list[TrainingSample]:
    """The halls of training.sides_halls; none for networks that are not sparse, and where data.folder is set."""
    if not (isinstance(config.model, SparseModelConfig) and config.data.folder is None):
        if config.training.sides_halls:
            logger.info("training.sides_halls: left out, it is for sparse networks on generated scenes")
        return []
    seed = config.training.seed + _SEED_OFFSET
    return [hall_sample(text, np.random.default_rng([seed, k])) for k, text in enumerate(config.training.sides_halls)]


def hall_sample(text: str, rng: np.random.Generator) -> TrainingSample:
    """One hall, named like 12x2.7@0.08: its size (EmptyHall.from_text), and the voxel size in metres.

    queries_world: (3 R, 3), on R rays, those of one offset after the other, with their true occupancy.
    """
    size, _, voxel = text.partition("@")
    hall, voxel_size_m = EmptyHall.from_text(size), float(voxel)
    points = hall.points(rng, points_per_m2=min(hall.usual_density, _POINTS_PER_VOXEL / voxel_size_m**2))
    rays = hall.rays(rng, _RAYS)
    origins, directions = (np.concatenate([getattr(each, name) for each in rays]) for name in ("origins", "directions"))
    ranges = np.concatenate([each.ranges for each in rays])  # (R,)
    places = [origins + (ranges - offset * voxel_size_m)[:, None] * directions for offset in _OFFSETS_VOXELS]
    occupied = np.repeat([offset < 0 for offset in _OFFSETS_VOXELS], len(ranges))
    return TrainingSample(points.astype(np.float32), np.concatenate(places).astype(np.float32), occupied, voxel_size_m)


def score_sides(model: OccupancyNetwork, hall: TrainingSample, threshold: float, device: torch.device) -> SidesScore:
    """Of one hall_sample.  threshold: tau, a probability; places where nothing is known count as free."""
    training = model.training
    model.eval()
    batch = pack_batch([hall], coordinates=model.coordinates).to(device)
    occupied = (predict_probabilities(model, batch) >= threshold).cpu().numpy()
    model.train(training)
    far, near, behind = occupied.reshape(len(_OFFSETS_VOXELS), -1)  # (R,) each
    return SidesScore(float((far | near).mean()), float((~behind).mean()))


def mean_sides(scores: Sequence[SidesScore]) -> SidesScore:
    """Of at least one hall; each counts the same."""
    return SidesScore(float(np.mean([each.wrong for each in scores])), float(np.mean([each.holes for each in scores])))
