"""The sparse network: features on voxels near the surface."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.decoder import OccupancyDecoder
from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.encode.voxelise import voxelise
from sparse_convonet.engine.convolution import convolve
from sparse_convonet.fields.sparse import Level, SparseField
from sparse_convonet.model.network import OccupancyNetwork

OUTSIDE_LOGIT = -20.0  # occupancy logit where nothing is known: certainly outside


class SparseOccupancyNetwork(OccupancyNetwork):
    """Sparse-convolution, scene-scale variant of a Convolutional Occupancy Network.

    All positions are in voxel coordinates (see coordinates.VoxelFrame), so the network does not know
    where a building stands, and shifts by whole multiples of `unet.total_stride` commute with it.
    """

    coordinates = "voxel"

    def __init__(
        self,
        *,
        pointnet: LocalPoolPointNet,
        unet: SparseUNet,
        decoder: OccupancyDecoder,
        feature_width: int,
        points_per_voxel: int,
    ) -> None:
        super().__init__()
        self.pointnet = pointnet
        self.unet = unet
        self.decoder = decoder
        self.points_per_voxel = points_per_voxel
        self.projections = nn.ModuleList(nn.Linear(width, feature_width) for width in unet.widths)

    def encode(self, points_voxel: torch.Tensor, batch: torch.Tensor) -> SparseField:
        """Points (N, 3) in voxel coordinates (float32 or float64), (N,) int64 scene of each -> SparseField."""
        voxels = voxelise(points_voxel, batch, self.points_per_voxel)
        tensors = self.unet(self.pointnet(voxels), voxels.coordinates)
        levels = []
        for level, tensor in enumerate(tensors):
            keys, order = torch.sort(pack_keys(tensor.C))
            levels.append(Level(2**level, keys, self.project(level, tensor.F)[order]))
        return SparseField(tuple(levels))

    def project(self, level: int, features: torch.Tensor) -> torch.Tensor:
        """(V, C) features of a level's cells -> (V, feature_width).

        The linear map to the decoder's width commutes with interpolation: cheaper once per cell.  In inference on the
        CPU by the engine's kernel, which gives a row the same bits whatever rows stand beside it and on any number of
        threads; a product of torch does not.
        """
        linear: Any = self.projections[level]
        if torch.is_grad_enabled() or features.device.type != "cpu":
            return linear(features)
        own_row = torch.arange(len(features), dtype=torch.int32)[:, None]
        return convolve(features, linear.weight.t().contiguous()[None], own_row, None) + linear.bias

    def occupancy(
        self, field: SparseField, queries_voxel: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3), (Q,) int64 -> logits (Q,), OUTSIDE_LOGIT where not known, and known (Q,) bool."""
        if self.decoder.fits_compiled_loop(field):
            logits, known = self.decoder.decode_field(field, queries_voxel, batch)
        else:
            sample = field.sample(queries_voxel, batch)
            logits, known = self.decoder(queries_voxel, sample.features, sample.weights), sample.known
        return torch.where(known, logits, torch.full_like(logits, OUTSIDE_LOGIT)), known
