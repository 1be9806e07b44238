"""The local-pool PointNet and its compiled loop."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.voxelise import Voxels, voxelise


def random_pointnet(width: int, blocks: int, hints: int = 0) -> LocalPoolPointNet:
    torch.manual_seed(blocks)
    network = LocalPoolPointNet(width=width, blocks=blocks, feature_width=width, hints=hints)
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


def some_points(count: int = 3000) -> tuple[Voxels, torch.Tensor]:
    """Voxels of two scenes, and six hints of each kept point, of which some are zero."""
    generator = torch.Generator().manual_seed(count)
    positions = torch.randn(count, 3, generator=generator) * 4
    voxels = voxelise(positions, torch.randint(0, 2, (count,), generator=generator), points_per_voxel=8)
    hints = torch.randn(len(voxels.rows), 6, generator=generator)
    return voxels, hints * (torch.rand(hints.shape, generator=generator) < 0.7)


def test_hints_in_the_compiled_loop_are_those_of_the_layers() -> None:
    network, (voxels, hints) = random_pointnet(32, 3, hints=6), some_points()
    by_layers = network(voxels, hints).detach()  # gradients are on
    with torch.no_grad():
        assert network._fits_compiled_loop(voxels)
        compiled, without = network(voxels, hints), network(voxels)
    scale = float(by_layers.abs().max())
    torch.testing.assert_close(compiled, by_layers, atol=2e-6 * scale, rtol=0)
    assert float((compiled - without).abs().max()) > 0.1 * scale


@pytest.mark.parametrize("compiled", [True, False])
def test_zeros_are_what_no_hints_are(compiled: bool) -> None:
    network, (voxels, hints) = random_pointnet(32, 3, hints=6), some_points()
    with torch.set_grad_enabled(not compiled):
        assert network._fits_compiled_loop(voxels) == compiled
        assert torch.equal(network(voxels, torch.zeros_like(hints)), network(voxels))


def test_a_network_begins_without_regard_to_hints() -> None:
    network, (voxels, hints) = LocalPoolPointNet(width=32, blocks=2, feature_width=32, hints=6), some_points()
    assert torch.equal(network(voxels, hints), network(voxels))


def test_hints_for_a_network_that_takes_none_are_refused() -> None:
    voxels, hints = some_points(10)
    with pytest.raises(
        ValueError, match=r"hints: expected none for a network without model\.point_hints, found \(10, 6\)"
    ):
        random_pointnet(32, 2)(voxels, hints)
