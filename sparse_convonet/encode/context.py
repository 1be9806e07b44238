"""The coarse network that sees far: on which side of a surface the room lies may be decided hundreds of voxels away.

Its cells hold which of their 4 x 4 x 4 sub-cells have points and nothing finer, and how far the next cells are.  So
where every sub-cell of a surface has a point the density makes no difference, whole halls are a few thousand cells, and
a training crop can have surroundings of few points.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.encode.gaps import GAP_FEATURES, gap_features
from sparse_convonet.encode.sparse_unet import SparseUNet

_SUBCELLS = 4  # along each axis of a cell
_HINT_STEPS = 1 << 20  # of 1: sums of whole numbers do not depend on the order of the points


@dataclass(frozen=True)
class Context:
    """What the coarse network says: keys (V,) int64 ascending of cells counted in their own stride, features (V, C)."""

    keys: torch.Tensor
    features: torch.Tensor

    def at(self, cells: torch.Tensor) -> torch.Tensor:
        """(V, 4) int cells [batch, x, y, z] -> their features (V, C); zeros where it knows none."""
        if len(self.keys) == 0:
            return self.features.new_zeros(len(cells), self.features.shape[1])
        wanted = pack_keys(cells)
        rows = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        found = (self.keys[rows] == wanted)[:, None]
        return torch.where(found, self.features[rows], torch.zeros_like(self.features[:1]))


@dataclass(frozen=True)
class SeenCells:
    """What the coarse network is told of a scan, or of some of its points: see `merged`.

    keys: (V,) int64 ascending, of cells with points.  occupied: (V, 64) bool, which sub-cells have some.  points: (V,)
    int64, how many.  hint_steps: (V, H) int64, sums over them of their hints, in steps.
    """

    keys: torch.Tensor
    occupied: torch.Tensor
    points: torch.Tensor
    hint_steps: torch.Tensor

    def merged(self, other: SeenCells) -> SeenCells:
        """Of the points of both."""
        keys, owner = torch.unique(torch.cat([self.keys, other.keys]), return_inverse=True)

        def total(mine: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
            values = torch.cat([mine, others]).to(torch.int64)
            return values.new_zeros(len(keys), *values.shape[1:]).index_add(0, owner, values)

        return SeenCells(
            keys,
            total(self.occupied, other.occupied) > 0,
            total(self.points, other.points),
            total(self.hint_steps, other.hint_steps),
        )


class ContextNetwork(nn.Module):
    """A sparse U-Net on cells of `stride` voxels; widths: of its levels at 1, 2, 4, ... times the stride.

    hints: how many further numbers each row of the input may come with; a cell takes their mean over its rows.
    gaps: whether it is also told how far the next cells are (encode/gaps.py).
    """

    def __init__(
        self, *, engine: ModuleType, widths: tuple[int, ...], stride: int, hints: int = 0, gaps: bool = False
    ) -> None:
        super().__init__()
        if stride % _SUBCELLS:
            raise ValueError(f"context: expected cells of a multiple of {_SUBCELLS} voxels, found {stride}")
        self.stride = stride
        self.subcell = stride // _SUBCELLS  # voxels along an edge
        self.hints = hints
        self.lift = nn.Linear(_SUBCELLS**3 + hints, widths[0])
        self.gap_lift = nn.Linear(GAP_FEATURES, widths[0], bias=False) if gaps else None
        if self.gap_lift is not None:
            nn.init.zeros_(self.gap_lift.weight)  # so weights from before begin with what they know
        self.unet = SparseUNet(
            engine=engine, width_in=widths[0], widths=widths, blocks_per_level=1, dilate_from_stride=1
        )

    def forward(self, voxels: torch.Tensor, hints: torch.Tensor | None = None) -> Context:
        """(N, 4) int voxels with points [batch, x, y, z], in any order and number, hints (N, hints) -> Context."""
        return self.understand(self.look(voxels, hints))

    def look(self, voxels: torch.Tensor, hints: torch.Tensor | None = None) -> SeenCells:
        """What there is to see; arguments of `forward`."""
        voxels = voxels.to(torch.int64)
        cells = torch.cat([voxels[:, :1], torch.div(voxels[:, 1:], self.stride, rounding_mode="floor")], dim=1)
        keys, owner = torch.unique(pack_keys(cells), return_inverse=True)
        sub = torch.div(
            voxels[:, 1:] - cells[:, 1:] * self.stride, self.subcell, rounding_mode="floor"
        )  # (N, 3) 0 to 3
        place = (sub[:, 0] * _SUBCELLS + sub[:, 1]) * _SUBCELLS + sub[:, 2]
        occupied = torch.zeros(len(keys), _SUBCELLS**3, dtype=torch.bool, device=voxels.device)
        occupied[owner, place] = True
        hint_steps = keys.new_zeros(len(keys), self.hints)
        if hints is not None and self.hints:
            hint_steps.index_add_(0, owner, torch.round(hints * _HINT_STEPS).to(torch.int64))
        return SeenCells(keys, occupied, torch.bincount(owner, minlength=len(keys)), hint_steps)

    def understand(self, seen: SeenCells) -> Context:
        """What the network makes of it."""
        mean = seen.hint_steps / (seen.points[:, None] * _HINT_STEPS)
        described = torch.cat([seen.occupied, mean], dim=1).to(self.lift.weight.dtype)
        lifted = self.lift(described)
        if self.gap_lift is not None:
            lifted = lifted + self.gap_lift(gap_features(seen.keys).to(lifted.dtype))
        coordinates = unpack_keys(seen.keys).to(torch.int32)
        tensor: Any = self.unet(torch.relu(lifted), coordinates)[0]
        keys, order = torch.sort(pack_keys(tensor.C))
        return Context(keys, tensor.F[order])
