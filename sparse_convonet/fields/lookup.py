"""Trilinear lookup in sparse cells, differentiable in features and in positions."""

from __future__ import annotations

import torch

from sparse_convonet.coordinates import AXIS_LIMIT, key_shift, pack_keys

_CORNERS = [(dx, dy, dz) for dx in (0, 1) for dy in (0, 1) for dz in (0, 1)]


def find_rows(sorted_keys: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Rows of `keys` (any shape, int64) in `sorted_keys` (V,) int64; -1 where absent."""
    if len(sorted_keys) == 0:
        return torch.full_like(keys, -1)
    position = torch.searchsorted(sorted_keys, keys).clamp_(max=len(sorted_keys) - 1)
    return torch.where(sorted_keys[position] == keys, position, -1)


def trilinear_lookup(
    sorted_keys: torch.Tensor,  # (V,) int64 keys of cell coordinates, multiples of the stride
    features: torch.Tensor,  # (V, C)
    stride: int,
    queries_voxel: torch.Tensor,  # (Q, 3) voxel coordinates, float32 or float64
    batch: torch.Tensor,  # (Q,) int64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample features that sit at cell centres: (Q, C) sums over the corners present, (Q,) their weights.

    A corner that is absent counts zero and is not renormalised, so the weight (1 where all eight
    corners are present, 0 where none is) tells how much is known.  Queries outside the range of the
    keys have no corners.
    """
    unit = queries_voxel / stride - 0.5
    base = torch.floor(unit.detach())
    fraction = (unit - base).to(features.dtype)  # (Q, 3); carries the gradient to the positions
    limit = AXIS_LIMIT // stride - 2
    in_range = (base.abs() < limit).all(dim=1)
    cell = torch.where(in_range[:, None], base, torch.zeros_like(base)).to(torch.int64) * stride
    base_key = pack_keys(torch.cat([batch[:, None], cell], dim=1))
    shifts = torch.tensor([key_shift(dx * stride, dy * stride, dz * stride) for dx, dy, dz in _CORNERS])
    rows = find_rows(sorted_keys, base_key[:, None] + shifts.to(base_key.device))  # (Q, 8)
    present = (rows >= 0) & in_range[:, None]
    pairs = torch.stack([1 - fraction, fraction], dim=2)  # (Q, 3, 2)
    corner = torch.tensor(_CORNERS, device=fraction.device)
    weights = pairs[:, 0, corner[:, 0]] * pairs[:, 1, corner[:, 1]] * pairs[:, 2, corner[:, 2]]  # (Q, 8)
    weights = weights * present
    if len(sorted_keys) == 0:
        return features.new_zeros(len(base), features.shape[1]) + weights.sum(1, keepdim=True), weights.sum(1)
    gathered = features.index_select(0, rows.clamp(min=0).reshape(-1)).reshape(len(base), 8, -1)
    return torch.bmm(weights[:, None, :], gathered)[:, 0], weights.sum(dim=1)
