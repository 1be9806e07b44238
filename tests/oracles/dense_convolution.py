"""Sparse convolution by dense convolution: torch's conv3d on a full grid of unit voxels, read at the output cells."""

from __future__ import annotations

import torch
from torch.nn import functional


def torch_kernel(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """(size^3, C_in, C_out), offsets x fastest -> (C_out, C_in, x, y, z), torch's layout."""
    return kernel.reshape(size, size, size, *kernel.shape[-2:]).permute(4, 3, 2, 1, 0)


def dense_convolution(
    features: torch.Tensor,  # (V_in, C_in)
    coordinates: torch.Tensor,  # (V_in, 4) int [batch, x, y, z]
    kernel: torch.Tensor,  # (size^3, C_in, C_out)
    out_coordinates: torch.Tensor,  # (V_out, 4)
    *,
    size: int,
    step: int,  # voxels between neighbouring offsets
    transposed: bool = False,
) -> torch.Tensor:
    """(V_out, C_out): the sum over offsets of features at out + offset (transposed: at out - offset)."""
    reach = size * step
    both = torch.cat([coordinates, out_coordinates])[:, 1:]
    origin = both.amin(dim=0) - reach
    extent = (both.amax(dim=0) + reach + 1 - origin).tolist()
    batches = int(torch.cat([coordinates, out_coordinates])[:, 0].max()) + 1
    batch, x, y, z = _indices(coordinates, origin)
    grid = features.new_zeros(batches, *extent, features.shape[1])
    grid = grid.index_put((batch, x, y, z), features).permute(0, 4, 1, 2, 3)
    weight = torch_kernel(kernel, size)
    below = size // 2 * step if size % 2 else 0  # odd kernels are centred, even ones begin at 0
    above = (size - 1) * step - below
    if transposed:
        full = functional.conv_transpose3d(grid, weight.transpose(0, 1), dilation=step)
        full = full[:, :, below : below + extent[0], below : below + extent[1], below : below + extent[2]]
    else:
        full = functional.conv3d(functional.pad(grid, (below, above) * 3), weight, dilation=step)
    batch, x, y, z = _indices(out_coordinates, origin)
    return full.permute(0, 2, 3, 4, 1)[batch, x, y, z]


def _indices(coordinates: torch.Tensor, origin: torch.Tensor) -> tuple[torch.Tensor, ...]:
    batch, x, y, z = coordinates.long().unbind(dim=1)
    return batch, x - origin[0], y - origin[1], z - origin[2]
