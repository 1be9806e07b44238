"""The local-pool PointNet and its compiled loop."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.voxelise import voxelise


def random_pointnet(width: int, blocks: int) -> LocalPoolPointNet:
    torch.manual_seed(blocks)
    network = LocalPoolPointNet(width=width, blocks=blocks, feature_width=width)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    return network


@pytest.mark.parametrize(("blocks", "points", "cap"), [(1, 1, 8), (3, 3000, 8), (3, 60_000, 64), (5, 20_000, 1)])
def test_inference_in_the_compiled_loop_equals_the_layers(blocks: int, points: int, cap: int) -> None:
    generator = torch.Generator().manual_seed(points)
    positions = torch.randn(points, 3, generator=generator) * 4
    voxels = voxelise(positions, torch.randint(0, 2, (points,), generator=generator), points_per_voxel=cap)
    network = random_pointnet(32, blocks)
    by_layers = network(voxels).detach()  # gradients are on
    with torch.no_grad():
        assert network._fits_compiled_loop(voxels)
        compiled = network(voxels)
    scale = float(by_layers.abs().max())  # sums of such terms are rounded
    torch.testing.assert_close(compiled, by_layers, atol=2e-6 * scale, rtol=0)
    assert scale > 1


def test_other_widths_and_fuller_voxels_use_the_layers() -> None:
    crowd = voxelise(torch.rand(100, 3), torch.zeros(100, dtype=torch.int64), points_per_voxel=100)
    few = voxelise(torch.rand(64, 3), torch.zeros(64, dtype=torch.int64), points_per_voxel=100)
    with torch.no_grad():
        assert random_pointnet(32, 2)._fits_compiled_loop(few)
        assert not random_pointnet(32, 2)._fits_compiled_loop(crowd)
        assert not random_pointnet(16, 2)._fits_compiled_loop(few)
        assert random_pointnet(16, 2)(crowd).shape == (1, 16)
    assert not random_pointnet(32, 2)._fits_compiled_loop(few)


@torch.no_grad()
@pytest.mark.parametrize("width", [16, 32])
def test_no_voxels_have_no_features(width: int) -> None:
    nothing = voxelise(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), points_per_voxel=8)
    assert random_pointnet(width, 2)(nothing).shape == (0, width)
