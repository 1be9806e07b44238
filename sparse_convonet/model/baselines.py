"""The papers' learned baselines: one global code (Occupancy Network), and features on points (PointConv)."""

from __future__ import annotations

import torch

from sparse_convonet.decode.conditional_decoder import ConditionalDecoder
from sparse_convonet.decode.decoder import OccupancyDecoder
from sparse_convonet.encode.global_pointnet import GlobalPointNet
from sparse_convonet.encode.point_features import PointFeatures
from sparse_convonet.encode.voxel_encoder import VoxelEncoder
from sparse_convonet.encode.voxel_features import voxels_of_points
from sparse_convonet.fields.points import PointField
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.structures import PointSet


class GlobalOccupancyNetwork(OccupancyNetwork):
    """Occupancy Network (Mescheder et al. 2019): the field is a code (B, K), the same for every query.

    encoder: of points, or of voxels.
    """

    coordinates = "unit"

    def __init__(self, *, encoder: GlobalPointNet | VoxelEncoder, decoder: ConditionalDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.sees = "voxels" if isinstance(encoder, VoxelEncoder) else "points"

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> torch.Tensor:
        """`encode`, or of the voxels that are shown."""
        if isinstance(self.encoder, VoxelEncoder) and near.shown is not None:
            return self.encoder(near.shown)
        return self.encode(near.points, near.batch)

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Points (N, 3) in the unit cube, (N,) int64 scene of each -> codes (B, K).

        A network of voxels takes the voxels that hold points.
        """
        points = points.to(torch.float32)
        if isinstance(self.encoder, VoxelEncoder):
            scenes = int(batch.max()) + 1 if len(batch) else 0
            return self.encoder(voxels_of_points(points, batch, scenes, self.encoder.resolution))
        return self.encoder(points, batch)

    def occupancy(
        self, field: torch.Tensor, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3) in the unit cube, (Q,) int64 -> logits (Q,), and True everywhere."""
        logits = self.decoder(queries.to(torch.float32), field, batch)
        return logits, torch.ones_like(batch, dtype=torch.bool)


class PointsOccupancyNetwork(OccupancyNetwork):
    """PointConv baseline (Peng et al. 2020, section 4): PointNet++ features, Gaussian-kernel regression."""

    coordinates = "unit"

    def __init__(self, *, encoder: PointFeatures, decoder: OccupancyDecoder, sigma: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.sigma = sigma

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> PointField:
        """Points (N, 3) in the unit cube, (N,) int64 scene of each -> PointField."""
        points = points.to(torch.float32)
        return PointField(points, self.encoder(points, batch), tuple(torch.bincount(batch).tolist()), self.sigma)

    def occupancy(
        self, field: PointField, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3) in the unit cube, (Q,) int64 -> logits (Q,), and True everywhere."""
        queries = queries.to(torch.float32)
        sample = field.sample(queries, batch)
        return self.decoder(queries, sample.features, sample.weights), sample.known
