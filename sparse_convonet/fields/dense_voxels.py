"""Dense grids of features in voxel coordinates, one box per scene: a crop of a sliding window, or a small scene whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from sparse_convonet.config.models import FeaturePlaces
from sparse_convonet.fields.sparse import FieldSample


@dataclass(frozen=True)
class VoxelBox:
    """Features (C, X, Y, Z) of the voxels from `low` (3,) int64 on."""

    low: torch.Tensor
    features: torch.Tensor


@dataclass(frozen=True)
class DenseVoxelField:
    """One box of voxels per scene.

    features_at: "centres" of their voxels, so that boxes agree on where a feature sits; or "corners", as in the published
    code: the outermost features sit on the faces of the box and the others evenly between them, by up to half a voxel
    beside the centres.
    """

    boxes: tuple[VoxelBox, ...]
    features_at: FeaturePlaces = "centres"

    def sample(self, queries_voxel: torch.Tensor, batch: torch.Tensor) -> FieldSample:
        """Queries (Q, 3) in voxel coordinates, (Q,) int64 scene of each -> trilinear features, known in the box.

        Beyond the outermost centres the features fade to zero, as they do at the border of a sparse field.
        """
        corners = self.features_at == "corners"
        width = self.boxes[0].features.shape[0]
        features = self.boxes[0].features.new_zeros(len(queries_voxel), width)
        known = torch.zeros_like(batch, dtype=torch.bool)
        for scene, box in enumerate(self.boxes):
            rows = torch.nonzero(batch == scene)[:, 0]
            size = torch.tensor(box.features.shape[1:], device=rows.device)
            place = (queries_voxel[rows] - box.low) / size  # 0 to 1 over the box
            grid = (2 * place - 1).to(box.features.dtype).flip(1)  # grid_sample names the last axis first
            sampled = functional.grid_sample(
                box.features[None],
                grid[None, :, None, None],
                mode="bilinear",
                padding_mode="border" if corners else "zeros",
                align_corners=corners,
            )
            features = features.index_copy(0, rows, sampled[0, :, :, 0, 0].t())
            known = known.index_copy(0, rows, ((place >= 0) & (place < 1)).all(dim=1))
        return FieldSample(features, features.new_zeros(len(queries_voxel), 0), known)
