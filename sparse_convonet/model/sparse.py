"""The sparse network: features on voxels near the surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.decode.decoder import OccupancyDecoder
from sparse_convonet.encode.context import Context, ContextNetwork
from sparse_convonet.encode.hints import HINTS
from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.encode.voxel_cells import VoxelCells
from sparse_convonet.encode.voxelise import MEAN_POINTS, Voxels, voxelise
from sparse_convonet.engine.convolution import convolve
from sparse_convonet.fields.sparse import Level, SparseField
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.structures import PointSet

OUTSIDE_LOGIT = -20.0  # occupancy logit where nothing is known: certainly outside


class SparseOccupancyNetwork(OccupancyNetwork):
    """Sparse-convolution, scene-scale variant of a Convolutional Occupancy Network.

    All positions are in voxel coordinates (see coordinates.VoxelFrame), so the network does not know
    where a building stands, and shifts by whole multiples of its coarsest cells (`unet.total_stride` voxels, with a
    context those of its coarsest level) commute with it.
    """

    coordinates = "voxel"

    def __init__(
        self,
        *,
        pointnet: LocalPoolPointNet | VoxelCells,
        unet: SparseUNet,
        decoder: OccupancyDecoder,
        feature_width: int,
        points_per_voxel: int,
        context: ContextNetwork | None = None,
    ) -> None:
        super().__init__()
        self.pointnet = pointnet
        self.sees = "voxels" if isinstance(pointnet, VoxelCells) else "points"
        self.unet = unet
        self.context = context
        if context is not None:
            if context.stride != unet.total_stride:
                raise ValueError(f"context: expected cells of {unet.total_stride} voxels, found {context.stride}")
            self.take_context = nn.Linear(context.unet.widths[0], unet.widths[-1])
            nn.init.zeros_(self.take_context.weight)  # it begins as the network without context
            nn.init.zeros_(self.take_context.bias)
        self.decoder = decoder
        self.points_per_voxel = points_per_voxel
        self.projections = nn.ModuleList(nn.Linear(width, feature_width) for width in unet.widths)

    @property
    def takes_hints(self) -> bool:
        """Whether `encode` may be given hints."""
        return self.pointnet.hint_lift is not None

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> SparseField:
        """`encode` with the hints that the network takes; far: points that only its context sees, if it has one."""
        near = near if self.takes_hints else replace(near, hints=None)
        context = None
        if self.context is not None and far is not None:
            far = far if self.takes_hints else replace(far, hints=None)
            context = self.look_around(*_joined(near, far))
        return self.encode(near.points, near.batch, near.hints, context)

    def look_around(
        self, points_voxel: torch.Tensor, batch: torch.Tensor, hints: torch.Tensor | None = None
    ) -> Context | None:
        """What lies around, of all points (N, 3) of the scenes; None for a network without context."""
        if self.context is None:
            return None
        index = torch.floor(points_voxel).to(torch.int64)
        return self.context(torch.cat([batch[:, None], index], dim=1), hints)

    def encode(
        self,
        points_voxel: torch.Tensor,
        batch: torch.Tensor,
        hints: torch.Tensor | None = None,
        context: Context | None = None,
    ) -> SparseField:
        """Points (N, 3) in voxel coordinates (float32 or float64), (N,) int64 scene of each -> SparseField.

        hints: (N, 6) float32, unit vectors: from the point to the scanner that measured it, and the surface's normal
        on the free side; zeros where one is not known.  context: of `look_around`, where the points are not all there
        are; None: they are.
        """
        if context is None:
            context = self.look_around(points_voxel, batch, hints)
        voxels = self.voxelise(points_voxel, batch)
        kept_hints = None if hints is None else hints[voxels.rows]
        add_context = None if context is None else self.context_adder(context)
        tensors = self.unet(self.pointnet(voxels, kept_hints), voxels.coordinates, add_context)
        levels = []
        for level, tensor in enumerate(tensors):
            keys, order = torch.sort(pack_keys(tensor.C))
            levels.append(Level(2**level, keys, self.project(level, tensor.F)[order]))
        return SparseField(tuple(levels))

    def voxelise(self, points_voxel: torch.Tensor, batch: torch.Tensor) -> Voxels:
        """The points that the network is shown, in training and in use: up to a cap, and with those around up to a mean."""
        return voxelise(points_voxel, batch, self.points_per_voxel, MEAN_POINTS)

    def context_adder(self, context: Context) -> Callable[[Any], Any]:
        """What gives the coarsest cells their context (see SparseUNet.go_down)."""

        def add(x: Any) -> Any:
            cells = x.C.to(torch.int64)
            cells = torch.cat([cells[:, :1], torch.div(cells[:, 1:], self.unet.total_stride, rounding_mode="floor")], 1)
            return self.unet.engine.SparseTensor(
                x.F + self.take_context(context.at(cells)),
                coordinate_map_key=x.coordinate_map_key,
                coordinate_manager=x.coordinate_manager,
            )

        return add

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


def _joined(near: PointSet, far: PointSet) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Points, scenes and hints of both."""
    hints = None
    if near.hints is not None or far.hints is not None:
        hints = torch.cat([
            points.new_zeros(len(points), HINTS) if known is None else known
            for points, known in ((near.points, near.hints), (far.points, far.hints))
        ])  # fmt: skip
    return torch.cat([near.points, far.points]), torch.cat([near.batch, far.batch]), hints
