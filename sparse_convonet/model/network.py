"""What every network does: encode points into a field, and say how likely a query is occupied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from sparse_convonet.config.models import Input
from sparse_convonet.structures import PointSet


class OccupancyNetwork(nn.Module, ABC):
    """Points -> field of features -> occupancy logits.

    coordinates: what `encode` and `occupancy` take: "voxel" (one unit is one voxel, z up) or "unit" (the unit cube of
    the papers, y up).  sees: what it is shown; of anything but points, `encode_observed` takes what PointSet.shown has.
    """

    coordinates: ClassVar[Literal["voxel", "unit"]]
    sees: Input = "points"

    @abstractmethod
    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> Any:
        """Points (N, 3), (N,) int64 scene of each, ascending from 0 -> a field."""

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> Any:
        """`encode` with what else is known, of which a network takes what it can: hints, and points around a crop.

        near: a network that sees no points takes what is `shown` instead.
        """
        return self.encode(near.points, near.batch)

    def penalty(self, field: Any) -> torch.Tensor | None:
        """What the loss adds for a field, summed over its scenes; None: nothing."""
        return None

    @abstractmethod
    def occupancy(self, field: Any, queries: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3), (Q,) int64 scene of each -> logits (Q,), and (Q,) bool: where the field knows anything."""
