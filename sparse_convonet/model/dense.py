"""The papers' network: features on dense planes, a dense grid, or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from sparse_convonet.coordinates import GRID_MARGIN, PLANE_MARGIN, cells_of_shares, unit_to_share
from sparse_convonet.decode.decoder import OccupancyDecoder
from sparse_convonet.encode.dense_pointnet import CellGroups, CellPointNet
from sparse_convonet.encode.dense_unet import PlaneUNet, VolumeUNet
from sparse_convonet.encode.voxel_features import VoxelFeatures, require_voxels, voxels_of_points
from sparse_convonet.fields.dense import AXES, DenseField
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.structures import PointSet

_GRID = "grid"


class DenseOccupancyNetwork(OccupancyNetwork):
    """Convolutional Occupancy Network (Peng et al. 2020) in the unit cube.

    planes: names of AXES, sharing one plane_unet.  positions: what PointNet and decoder see of a position: "cube",
    its place in the cube, or "cell", its place within a cell of the grid (the fully convolutional variant).
    pointnet: or the features of voxels, for the papers' voxel super-resolution.
    """

    coordinates = "unit"

    def __init__(
        self,
        *,
        pointnet: CellPointNet | VoxelFeatures,
        plane_unet: PlaneUNet | None,
        volume_unet: VolumeUNet | None,
        decoder: OccupancyDecoder,
        planes: tuple[str, ...],
        plane_resolution: int,
        grid_resolution: int,
        sampling: Literal["linear", "nearest"],
        positions: Literal["cube", "cell"],
    ) -> None:
        super().__init__()
        self.pointnet = pointnet if isinstance(pointnet, CellPointNet) else None
        self.voxel_features = pointnet if isinstance(pointnet, VoxelFeatures) else None
        self.sees = "points" if self.voxel_features is None else "voxels"
        self.plane_unet = plane_unet
        self.volume_unet = volume_unet
        self.decoder = decoder
        self.planes = planes
        self.plane_resolution = plane_resolution
        self.grid_resolution = grid_resolution
        self.sampling = sampling
        self.positions = positions

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> DenseField:
        """`encode`, or `encode_voxels` where voxels are shown."""
        if near.shown is not None:
            return self.encode_voxels(near.shown)
        return self.encode(near.points, near.batch)

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> DenseField:
        """Points (N, 3) in the unit cube, (N,) int64 scene of each -> DenseField of all scenes.

        A network of voxels takes the voxels that hold points.
        """
        points = points.to(torch.float32)
        scenes = int(batch.max()) + 1 if len(batch) else 0
        if self.voxel_features is not None:
            return self.encode_voxels(voxels_of_points(points, batch, scenes, self.voxel_features.resolution))
        assert self.pointnet is not None
        kinds = self._groups(points, batch, scenes)
        return self._field(self.pointnet(self._seen(points), list(kinds.values())), kinds, scenes)

    def encode_voxels(self, occupied: torch.Tensor) -> DenseField:
        """Occupied voxels (B, R, R, R) of the unit cube, axes x, y, z, such as those of model.binvox -> DenseField.

        Raises ValueError where the network takes points, and for another resolution than its own.
        """
        if self.voxel_features is None:
            raise ValueError(
                "voxels: expected a network with model.input_voxels, found one that takes points; use encode"
            )
        size, scenes = self.voxel_features.resolution, len(occupied)
        require_voxels(occupied, size)
        places = self.voxel_features.places(scenes)
        batch = torch.arange(scenes, device=places.device).repeat_interleave(size**3)
        return self._field(self.voxel_features(occupied), self._groups(places, batch, scenes), scenes)

    def _groups(self, points: torch.Tensor, batch: torch.Tensor, scenes: int) -> dict[str, CellGroups]:
        """The cells of points on each plane, and in the grid under the name _GRID."""
        kinds = {name: self._plane_groups(points, batch, scenes, name) for name in self.planes}
        if self.volume_unet is not None:
            kinds[_GRID] = self._grid_groups(points, batch, scenes)
        return kinds

    def _field(self, features: torch.Tensor, kinds: Mapping[str, CellGroups], scenes: int) -> DenseField:
        """Features (N, C) of points whose cells are `kinds` -> planes and grid."""
        width = features.shape[1]
        maps = {}
        if self.plane_unet is not None:
            size = self.plane_resolution
            for name in self.planes:
                cells = kinds[name].mean(features).reshape(scenes, size, size, width)
                maps[name] = self.plane_unet(cells.permute(0, 3, 1, 2))
        volume = None
        if self.volume_unet is not None:
            size = self.grid_resolution
            cells = kinds[_GRID].mean(features).reshape(scenes, size, size, size, width)
            volume = self.volume_unet(cells.permute(0, 4, 1, 2, 3))
        return DenseField(maps, volume, self.sampling)

    def occupancy(
        self, field: DenseField, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3) in the unit cube, (Q,) int64 -> logits (Q,), and True everywhere."""
        queries = queries.to(torch.float32)
        sample = field.sample(queries, batch)
        return self.decoder(self._seen(queries), sample.features, sample.weights), sample.known

    def _seen(self, positions: torch.Tensor) -> torch.Tensor:
        if self.positions == "cube":
            return positions
        places = unit_to_share(positions, GRID_MARGIN) * self.grid_resolution
        return places - torch.floor(places.detach())

    def _plane_groups(self, points: torch.Tensor, batch: torch.Tensor, scenes: int, name: str) -> CellGroups:
        cells = self.plane_resolution**2
        index = cells_of_shares(unit_to_share(points[:, AXES[name]], PLANE_MARGIN), self.plane_resolution)
        return CellGroups(batch * cells + index, scenes * cells)

    def _grid_groups(self, points: torch.Tensor, batch: torch.Tensor, scenes: int) -> CellGroups:
        cells = self.grid_resolution**3
        index = cells_of_shares(unit_to_share(points, GRID_MARGIN), self.grid_resolution)
        return CellGroups(batch * cells + index, scenes * cells)
