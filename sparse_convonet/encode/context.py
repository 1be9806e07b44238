"""The coarse network that sees far: on which side of a surface the room lies may be decided hundreds of voxels away.

Its cells hold which of their 4 x 4 x 4 sub-cells have points and nothing finer.  So where every sub-cell of a surface has
a point the density makes no difference, whole halls are a few thousand cells, and a training crop can have surroundings
of few points.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.encode.sparse_unet import SparseUNet

_SUBCELLS = 4  # along each axis of a cell


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


class ContextNetwork(nn.Module):
    """A sparse U-Net on cells of `stride` voxels; widths: of its levels at 1, 2, 4, ... times the stride.

    hints: how many further numbers each row of the input may come with; a cell takes their mean over its rows.
    """

    def __init__(self, *, engine: ModuleType, widths: tuple[int, ...], stride: int, hints: int = 0) -> None:
        super().__init__()
        if stride % _SUBCELLS:
            raise ValueError(f"context: expected cells of a multiple of {_SUBCELLS} voxels, found {stride}")
        self.stride = stride
        self.subcell = stride // _SUBCELLS  # voxels along an edge
        self.hints = hints
        self.lift = nn.Linear(_SUBCELLS**3 + hints, widths[0])
        self.unet = SparseUNet(
            engine=engine, width_in=widths[0], widths=widths, blocks_per_level=1, dilate_from_stride=1
        )

    def forward(self, voxels: torch.Tensor, hints: torch.Tensor | None = None) -> Context:
        """(N, 4) int voxels with points [batch, x, y, z], in any order and number, hints (N, hints) -> Context."""
        voxels = voxels.to(torch.int64)
        cells = torch.cat([voxels[:, :1], torch.div(voxels[:, 1:], self.stride, rounding_mode="floor")], dim=1)
        keys, owner = torch.unique(pack_keys(cells), return_inverse=True)
        sub = torch.div(
            voxels[:, 1:] - cells[:, 1:] * self.stride, self.subcell, rounding_mode="floor"
        )  # (N, 3) 0 to 3
        place = (sub[:, 0] * _SUBCELLS + sub[:, 1]) * _SUBCELLS + sub[:, 2]
        described = self.lift.weight.new_zeros(len(keys), _SUBCELLS**3 + self.hints)
        described[owner, place] = 1.0
        if hints is not None and self.hints:
            total = described.new_zeros(len(keys), self.hints).index_add(0, owner, hints.to(described.dtype))
            described[:, _SUBCELLS**3 :] = total / torch.bincount(owner)[:, None]
        tensor: Any = self.unet(torch.relu(self.lift(described)), unpack_keys(keys).to(torch.int32))[0]
        keys, order = torch.sort(pack_keys(tensor.C))
        return Context(keys, tensor.F[order])
