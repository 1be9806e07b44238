"""A sparse network of random weights that all count, and scans of sheets for it."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model import build_sparse
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.tile_grid import TileGrid

MODEL = SparseModelConfig(
    engine="native", pointnet_width=8, pointnet_blocks=2, widths=(8, 8, 16), blocks_per_level=1, dilate_from_stride=4,
    feature_width=8, decoder_width=8,
)  # fmt: skip


def network(config: SparseModelConfig = MODEL) -> SparseOccupancyNetwork:
    torch.manual_seed(0)
    model = build_sparse(config)
    with torch.no_grad():  # blocks begin as identities; make every weight count
        for name, value in model.named_parameters():
            if any(part in name for part in ("outer", "hint_lift", "take_context")):
                value.normal_(0, 0.3)
        points = torch.rand(500, 3) * 12
        model.encode(points, torch.zeros(500, dtype=torch.int64))  # batch norm takes in some statistics
    return model.eval()


def assert_same_field(found: SparseField, expected: SparseField) -> None:
    for ours, theirs in zip(found.levels, expected.levels, strict=True):
        assert torch.equal(ours.keys, theirs.keys)
        torch.testing.assert_close(ours.features, theirs.features, atol=1e-6, rtol=1e-6)


def sheets(rng: np.random.Generator, reach: float, count: int = 4000) -> np.ndarray:
    """Points on three sheets across a cube around the origin, and a few anywhere."""
    points = rng.uniform(-reach, reach, (count, 3))
    sheet = rng.integers(0, 3, count)
    points[np.arange(count), sheet] = 0.4 * points[np.arange(count), (sheet + 1) % 3] + rng.normal(0, 0.3, count)
    points[:50] = rng.uniform(-reach, reach, (50, 3))
    return points


def encoding_grid(points_voxel: np.ndarray, model: SparseOccupancyNetwork, largest_edge: int) -> TileGrid:
    """Tiles of at most `largest_edge` voxels over all cells that (N, 3) points have at any level."""
    reach = model.unet.expansion_voxels()
    low, high = points_voxel.min(axis=0), points_voxel.max(axis=0)
    return TileGrid.over(np.floor(low) - reach, np.floor(high) + reach, largest_edge, model.unet.total_stride)
