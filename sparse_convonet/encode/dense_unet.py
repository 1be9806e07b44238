"""U-Nets over dense planes and grids, as Convolutional Occupancy Networks has them.

2D: two convolutions with ReLU per level, max pooling, transposed convolutions up, joined with the way down
(Ronneberger et al. 2015, with padding).  3D: the same with group normalisation before each convolution and
nearest-neighbour upsampling (Cicek et al. 2016, in the form of Wolny et al. 2020).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_GROUPS = 8


class PlaneUNet(nn.Module):
    """(B, C, R, R) -> (B, C, R, R); R is a multiple of 2^(depth - 1)."""

    def __init__(self, *, channels: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        entries = [channels, *widths[:-1]]
        self.down = nn.ModuleList(_plane_pair(entry, out) for entry, out in zip(entries, widths, strict=True))
        self.lift = nn.ModuleList(nn.ConvTranspose2d(2 * out, out, kernel_size=2, stride=2) for out in widths[-2::-1])
        self.up = nn.ModuleList(_plane_pair(2 * out, out) for out in widths[-2::-1])
        self.last = nn.Conv2d(widths[0], channels, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(_bias_of(module))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        passed = []
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else functional.max_pool2d(x, 2))
            passed.append(x)
        for lift, pair, before in zip(self.lift, self.up, passed[-2::-1], strict=True):
            x = pair(torch.cat([lift(x), before], dim=1))
        return self.last(x)


class VolumeUNet(nn.Module):
    """(B, C, R, R, R) -> (B, C, R, R, R); R is a multiple of 2^(levels - 1).

    Works on a contiguous copy of its input: on the CPU, torch's group norm of a view with channels last in memory, as
    grids of gathered points are, has errors of several percent where values are far from zero beside their spread.
    """

    def __init__(self, *, channels: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        entries = [channels, *widths[:-1]]
        self.down = nn.ModuleList(
            _volume_pair(entry, max(entry, out // 2), out) for entry, out in zip(entries, widths, strict=True)
        )
        ups = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(_volume_pair(below + out, out, out) for below, out in ups)
        self.last = nn.Conv3d(widths[0], channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        passed = []
        for level, pair in enumerate(self.down):
            x = pair(x if level == 0 else functional.max_pool3d(x, 2))
            passed.append(x)
        for pair, before in zip(self.up, passed[-2::-1], strict=True):
            x = pair(torch.cat([before, functional.interpolate(x, size=before.shape[2:], mode="nearest")], dim=1))
        return self.last(x)


def inputs_of_outputs(levels: int, low: int, high: int) -> tuple[int, int]:
    """The cells along one axis that outputs low to high (both counted) of a U-Net of so many levels depend on.

    Cells are counted from a multiple of 2^(levels - 1).  One output of 3 levels depends on 44 cells; one of 4 levels on
    92 to 100, by where it lies (test_dense_voxels counts them by gradients).
    """
    if levels == 1:
        return low - 2, high + 2
    below, above = inputs_of_outputs(levels - 1, (low - 2) // 2, (high + 2) // 2)
    return min(low - 4, 2 * below - 2), max(high + 4, 2 * above + 3)


def _plane_pair(entry: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(entry, out, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(out, out, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )


def _volume_pair(entry: int, middle: int, out: int) -> nn.Sequential:
    return nn.Sequential(*_volume_step(entry, middle), *_volume_step(middle, out))


def _volume_step(entry: int, out: int) -> tuple[nn.Module, ...]:
    groups = _GROUPS if entry >= _GROUPS else 1
    return (
        nn.GroupNorm(groups, entry),
        nn.Conv3d(entry, out, kernel_size=3, padding=1, bias=False),
        nn.ReLU(inplace=True),
    )


def _bias_of(module: nn.Conv2d) -> torch.Tensor:
    assert module.bias is not None
    return module.bias
