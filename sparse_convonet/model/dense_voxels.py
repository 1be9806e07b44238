"""The fully convolutional network of the papers on dense voxels: what the sparse network is compared with on buildings."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sparse_convonet.config.models import FeaturePlaces
from sparse_convonet.decode.decoder import OccupancyDecoder, encode_position
from sparse_convonet.encode.dense_pointnet import CellGroups, CellPointNet
from sparse_convonet.encode.dense_unet import VolumeUNet, inputs_of_outputs
from sparse_convonet.fields.dense_voxels import DenseVoxelField, VoxelBox
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.model.sparse import OUTSIDE_LOGIT


class DenseVoxelNetwork(OccupancyNetwork):
    """Peng et al. 2020, section 3 and supplementary ("fully convolutional"): positions count within their voxel only.

    The box of a scene holds its points and `border` voxels around them, rounded up to what the U-Net can halve.  With
    a U-Net without group normalisation, shifts by whole multiples of `stride` commute with the network away from the
    border of the box; the published one normalises over the whole box, so every box gives its own features.

    Two things are not as in the published code, by default: features sit at the centres of their voxels (features_at:
    "corners" stretches them over the box, as there), and a box begins on whole voxels.  There, boxes begin anywhere, so
    that the voxels of positions, which count from the origin of the coordinates, lie askew to those of features.
    """

    coordinates = "voxel"

    def __init__(
        self,
        *,
        pointnet: CellPointNet,
        unet: VolumeUNet,
        decoder: OccupancyDecoder,
        border: int,
        features_at: FeaturePlaces = "centres",
    ) -> None:
        super().__init__()
        self.pointnet = pointnet
        self.unet = unet
        self.decoder = decoder
        self.border = border
        self.features_at = features_at

    @property
    def stride(self) -> int:
        """Boxes begin and end at multiples of so many voxels."""
        return 2 ** (len(self.unet.down) - 1)

    @property
    def halo(self) -> int:
        """How many voxels beyond a box that begins and ends at multiples of `stride` decide what is in it, rounded up
        to such a multiple; one voxel more for the interpolation between centres."""
        levels = len(self.unet.down)
        low, _ = inputs_of_outputs(levels, -1, self.stride)
        return -(low // self.stride) * self.stride

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> DenseVoxelField:
        """Points (N, 3) in voxel coordinates, (N,) int64 scene of each, ascending -> DenseVoxelField."""
        scenes = torch.split(points, torch.bincount(batch).tolist())
        bounds = [self._bounds(each) for each in scenes]
        return self.field_of([self.encode_box(each, *box) for each, box in zip(scenes, bounds, strict=True)])

    def field_of(self, boxes: Sequence[VoxelBox]) -> DenseVoxelField:
        """One encoded box per scene -> what queries are asked of."""
        return DenseVoxelField(tuple(boxes), self.features_at)

    def encode_box(self, points: torch.Tensor, low: torch.Tensor, size: torch.Tensor) -> VoxelBox:
        """One scene's points (N, 3) that lie in the box of `size` (3,) voxels from `low` (3,) on, int64."""
        local = points - low
        cells = torch.floor(local).to(torch.int64)
        index = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
        group = CellGroups(index, int(size.prod()))
        within = local - torch.floor(local)
        features = self.pointnet(encode_position(within, self.decoder.local_encoding), [group])
        grid = group.mean(features).reshape(*size.tolist(), features.shape[1])
        return VoxelBox(low, self.unet(grid.permute(3, 0, 1, 2)[None])[0])

    def occupancy(
        self, field: DenseVoxelField, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3), (Q,) int64 -> logits (Q,), OUTSIDE_LOGIT beyond the box, and (Q,) bool: within it."""
        sample = field.sample(queries, batch)
        within = queries - torch.floor(queries.detach())
        logits = self.decoder(within, sample.features, sample.weights)
        return torch.where(sample.known, logits, torch.full_like(logits, OUTSIDE_LOGIT)), sample.known

    def _bounds(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low = torch.floor(points.amin(dim=0)).to(torch.int64) - self.border
        high = torch.floor(points.amax(dim=0)).to(torch.int64) + self.border + 1
        low = torch.div(low, self.stride, rounding_mode="floor") * self.stride
        blocks = torch.div(high - low + self.stride - 1, self.stride, rounding_mode="floor")
        return low, blocks * self.stride
