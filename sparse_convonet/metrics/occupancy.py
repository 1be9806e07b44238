"""Intersection over union of two occupancies."""

from __future__ import annotations

import numpy as np


def iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Volumetric IoU of two bool arrays of one shape, at the same query points; two empty sets agree: 1.

    Raises ValueError where shapes differ or an array is not bool (threshold logits or probabilities first).
    """
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    if predicted.shape != truth.shape:
        raise ValueError(f"IoU: expected occupancies of one shape, found {predicted.shape} and {truth.shape}")
    for name, array in (("predicted", predicted), ("truth", truth)):
        if array.dtype != np.bool_:
            raise ValueError(f"IoU, {name}: expected bool occupancies, found {array.dtype}; threshold them first")
    union = np.count_nonzero(predicted | truth)
    return 1.0 if union == 0 else np.count_nonzero(predicted & truth) / union
