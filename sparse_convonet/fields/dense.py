"""The dense field: features on planes, on a grid, or on both, in the padded unit cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from sparse_convonet.coordinates import GRID_MARGIN, PLANE_MARGIN, unit_to_share
from sparse_convonet.fields.sparse import FieldSample

AXES = {"xz": (0, 2), "xy": (0, 1), "yz": (1, 2)}


@dataclass(frozen=True)
class DenseField:
    """Feature maps of B scenes.  planes: name -> (B, C, R, R), rows along the second axis of the name, columns along
    the first.  grid: (B, C, R, R, R), axes z, y, x, or None.  sampling: "linear" or "nearest"."""

    planes: dict[str, torch.Tensor]
    grid: torch.Tensor | None
    sampling: Literal["linear", "nearest"]

    def sample(self, queries_unit: torch.Tensor, batch: torch.Tensor) -> FieldSample:
        """Queries (Q, 3) in the unit cube, (Q,) int64 scene of each -> features summed over planes and grid.

        Everything is known: the field reaches over the whole cube.  Beyond it, the features of its border.
        """
        count = next(iter([*self.planes.values(), self.grid])).shape[0]  # type: ignore[union-attr]
        order = torch.argsort(batch, stable=True)
        sizes = torch.bincount(batch, minlength=count).tolist()
        parts = [
            self._sample_scene(scene, queries_unit[rows])
            for scene, rows in enumerate(torch.split(order, sizes))
            if len(rows)
        ]
        features = torch.empty(0) if not parts else torch.cat(parts)
        if parts:
            features = torch.empty_like(features).index_copy(0, order, features)
        return FieldSample(features, features.new_zeros(len(queries_unit), 0), torch.ones_like(batch, dtype=torch.bool))

    def _sample_scene(self, scene: int, queries_unit: torch.Tensor) -> torch.Tensor:
        """(Q, 3) -> (Q, C)."""
        total: torch.Tensor | None = None
        for name, plane in self.planes.items():
            shares = unit_to_share(queries_unit[:, AXES[name]], PLANE_MARGIN)
            sampled = self._look_up(plane[scene : scene + 1], shares[None, :, None])[0, :, :, 0]  # (C, Q)
            total = sampled if total is None else total + sampled
        if self.grid is not None:
            shares = unit_to_share(queries_unit, GRID_MARGIN)
            sampled = self._look_up(self.grid[scene : scene + 1], shares[None, :, None, None])[0, :, :, 0, 0]
            total = sampled if total is None else total + sampled
        assert total is not None
        return total.t()

    def _look_up(self, maps: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """As published: the first and the last cell's features sit on the borders of the padded cube."""
        if shares.requires_grad and self.sampling == "linear":
            flat = shares.reshape(-1, shares.shape[-1])
            return interpolate(maps[0], flat).reshape(1, maps.shape[1], *shares.shape[1:-1])
        return functional.grid_sample(
            maps,
            (2 * shares - 1).to(maps.dtype),
            mode="bilinear" if self.sampling == "linear" else "nearest",
            padding_mode="border",
            align_corners=True,
        )


def interpolate(maps: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """(C, R, R) or (C, R, R, R) with x last, (Q, D) shares along x, y, ... -> (C, Q), as grid_sample up to rounding.

    It can be differentiated twice in the positions, which grid_sample cannot.
    """
    size, axes = maps.shape[-1], shares.shape[1]
    places = (shares * (size - 1)).clamp(0, size - 1).to(maps.dtype)
    low = places.detach().floor().clamp(max=max(size - 2, 0))
    beyond, first = places - low, low.long()
    total = maps.new_zeros(maps.shape[0], len(shares))
    for corner in range(1 << axes):
        weight, index = torch.ones_like(beyond[:, 0]), torch.zeros_like(first[:, 0])
        for axis in reversed(range(axes)):
            upper = corner >> axis & 1
            weight = weight * (beyond[:, axis] if upper else 1 - beyond[:, axis])
            index = index * size + (first[:, axis] + upper).clamp(max=size - 1)
        total = total + maps.flatten(1)[:, index] * weight
    return total
