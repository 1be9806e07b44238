"""Which cells the levels of the sparse U-Net have, and how far it sees."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.engine import native
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from tests.small_network import MODEL, network


@pytest.mark.parametrize("dilate_from", [1, 2, 4, 8])
def test_levels_cover_the_neighbours_of_the_points_from_the_stride_on_that_is_asked_for(dilate_from: int) -> None:
    unet = SparseUNet(
        engine=native, width_in=4, widths=(4, 4, 4), blocks_per_level=1, dilate_from_stride=dilate_from
    ).eval()
    with torch.no_grad():
        levels = unet(torch.ones(1, 4), torch.tensor([[0, 8, 8, 8]], dtype=torch.int32))
    expected, cells = [], {(8, 8, 8)}
    for level in range(3):
        stride = 2**level
        cells = {(x // stride * stride, y // stride * stride, z // stride * stride) for x, y, z in cells}
        if stride >= dilate_from:
            steps = (-stride, 0, stride)
            cells = {(x + i, y + j, z + k) for x, y, z in cells for i in steps for j in steps for k in steps}
        expected.append(cells)
    for level, wanted in zip(levels, expected, strict=True):
        assert {tuple(row) for row in level.C[:, 1:].tolist()} == wanted
    reach = max(max(abs(value - 8) for value in cell) for cells in expected for cell in cells)
    assert reach <= unet.expansion_voxels() + unet.total_stride


# The receptive field, by gradients: with positive weights no path cancels and no unit is off, so the gradient is not
# zero exactly where a path leads.


def with_positive_kernels(model: SparseOccupancyNetwork) -> None:
    """Every path through the network counts, and none cancels another."""
    with torch.no_grad():
        for name, value in model.unet.named_parameters():
            if "kernel" in name:
                value.fill_(0.5 / value.shape[-2])
        for module in model.unet.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.reset_running_stats()
        assert isinstance(model.pointnet, LocalPoolPointNet)
        model.pointnet.project.bias.fill_(1.0)


def line_reaches(model: SparseOccupancyNetwork, length: int, voxels: range) -> torch.Tensor:
    """(len(voxels), length) bool: whether the feature at a voxel of a line depends on the input at another."""
    with_positive_kernels(model)
    coordinates = torch.zeros(length, 4, dtype=torch.int32)
    coordinates[:, 1] = torch.arange(length)
    features = torch.ones(length, 8, requires_grad=True)
    finest = model.unet(features, coordinates)[0]
    reached = []
    for voxel in voxels:
        (gradient,) = torch.autograd.grad(finest.F[voxel].sum(), features, retain_graph=True)
        reached.append(gradient.abs().sum(dim=1) > 0)
    return torch.stack(reached)


@pytest.mark.parametrize(
    ("widths", "blocks", "dilate_from"),
    [((8, 8), 1, 4), ((8, 8, 8), 1, 4), ((8, 8, 8), 2, 2), ((8, 8, 8, 8), 1, 4)],
)
def test_the_receptive_field_is_counted_exactly(widths: tuple[int, ...], blocks: int, dilate_from: int) -> None:
    model = network(replace(MODEL, widths=widths, blocks_per_level=blocks, dilate_from_stride=dilate_from))
    unet = model.unet
    reach, stride = unet.receptive_field_voxels(), unet.total_stride
    length = -(-(2 * reach + 2 * stride) // stride) * stride
    middle = length // 2 // stride * stride
    reached = line_reaches(model, length, range(middle, middle + stride))
    for row, voxel in enumerate(range(middle, middle + stride)):
        first, last = unet.inputs_along_axis(voxel, voxel + 1)
        found = torch.nonzero(reached[row])[:, 0]
        assert (int(found[0]), int(found[-1]) + 1) == (max(first, 0), min(last, length))
        assert voxel - first <= reach and last - voxel - 1 <= reach
