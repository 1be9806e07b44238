"""Validation on scenes of held-out furniture: IoU per scene, over a range of thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.data.batching import PackedBatch, pack_batch
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.structures import TrainingSample

THRESHOLDS = tuple(np.round(np.arange(0.2, 0.81, 0.05), 2).tolist())
VALIDATION_VOXEL_M = 0.08
ROOM_QUERIES = 16384


@dataclass(frozen=True)
class ValidationScore:
    """Mean IoU over scenes at each of THRESHOLDS, and where it is highest."""

    iou: tuple[float, ...]

    @property
    def best_threshold(self) -> float:
        return THRESHOLDS[int(np.argmax(self.iou))]

    @property
    def best_iou(self) -> float:
        return max(self.iou)

    def at(self, threshold: float) -> float:
        return self.iou[THRESHOLDS.index(threshold)]


@torch.no_grad()
def predict_probabilities(model: OccupancyNetwork, batch: PackedBatch) -> torch.Tensor:
    """Occupancy probabilities (Q,) of a packed batch; the model is to be in eval mode."""
    field = model.encode_observed(batch.near, batch.around)
    logits, _ = model.occupancy(field, batch.queries, batch.query_batch)
    return torch.sigmoid(logits)


def validate(model: OccupancyNetwork, samples: list[TrainingSample], device: torch.device) -> ValidationScore:
    """Mean IoU over the scenes, each encoded alone; queries where nothing is known count as outside."""
    training = model.training
    model.eval()
    scores = []
    for sample in samples:
        batch = pack_batch([sample], coordinates=model.coordinates)
        predicted = predict_probabilities(model, batch.to(device)).cpu()[:, None] >= torch.tensor(THRESHOLDS)
        truth = batch.occupied[:, None] > 0.5
        intersection, union = (predicted & truth).sum(0), (predicted | truth).sum(0)
        scores.append(intersection / union.clamp(min=1))
    model.train(training)
    return ValidationScore(tuple(torch.stack(scores).mean(0).tolist()))
