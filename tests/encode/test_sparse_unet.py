"""Which cells the levels of the sparse U-Net have."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.engine import native


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
