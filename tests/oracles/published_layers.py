"""Layers of the published networks, with the names and shapes of the published checkpoints, written from the papers.

Plain torch modules that are right rather than fast, to be run in float64.  Nothing here comes from the package.
"""

from __future__ import annotations

import torch
from torch import nn


class ResnetBlock(nn.Module):
    """x + fc_1(relu(fc_0(relu(x)))), with a shortcut where the widths differ (Mescheder et al. 2019, supplementary)."""

    def __init__(self, entry: int, out: int) -> None:
        super().__init__()
        self.fc_0, self.fc_1 = nn.Linear(entry, out), nn.Linear(out, out)
        self.shortcut = nn.Linear(entry, out, bias=False) if entry != out else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.fc_1(self.fc_0(x.relu()).relu())
        return change + (x if self.shortcut is None else self.shortcut(x))


class _Down2d(nn.Module):
    def __init__(self, entry: int, out: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(entry, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.conv1(x).relu()).relu()


class _Up2d(_Down2d):
    def __init__(self, entry: int, out: int) -> None:
        super().__init__(2 * out, out)
        self.upconv = nn.ConvTranspose2d(entry, out, 2, stride=2)

    def merge(self, below: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        return self(torch.cat((self.upconv(below), beside), 1))


class UNet2d(nn.Module):
    """Ronneberger et al. 2015, padded: `depth` levels of 32, 64, ... channels."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.down_convs = nn.ModuleList(
            _Down2d(32 if level == 0 else 16 << level, 32 << level) for level in range(depth)
        )
        self.up_convs = nn.ModuleList(_Up2d(64 << level, 32 << level) for level in reversed(range(depth - 1)))
        self.conv_final = nn.Conv2d(32, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for level, down in enumerate(self.down_convs):
            x = down(nn.functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        x = kept.pop()
        for up in self.up_convs:
            x = up.merge(x, kept.pop())  # type: ignore[operator]
        return self.conv_final(x)


class _SingleConv(nn.Module):
    def __init__(self, entry: int, out: int) -> None:
        super().__init__()
        self.groupnorm, self.conv = nn.GroupNorm(8, entry), nn.Conv3d(entry, out, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.groupnorm(x.contiguous())).relu()


class _DoubleConv(nn.Module):
    def __init__(self, entry: int, middle: int, out: int) -> None:
        super().__init__()
        self.SingleConv1, self.SingleConv2 = _SingleConv(entry, middle), _SingleConv(middle, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.SingleConv2(self.SingleConv1(x))


class _Level3d(nn.Module):
    def __init__(self, entry: int, middle: int, out: int) -> None:
        super().__init__()
        self.basic_module = _DoubleConv(entry, middle, out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.basic_module(x)


class UNet3d(nn.Module):
    """Cicek et al. 2016, in the form of Wolny et al. 2020: the first convolution down makes half of a level's channels."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        widths = [32 << level for level in range(levels)]
        self.encoders = nn.ModuleList(
            _Level3d(32 if level == 0 else width // 2, 32 if level == 0 else width // 2, width)
            for level, width in enumerate(widths)
        )
        self.decoders = nn.ModuleList(_Level3d(3 * width, width, width) for width in reversed(widths[:-1]))
        self.final_conv = nn.Conv3d(32, 32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = []
        for level, encoder in enumerate(self.encoders):
            x = encoder(nn.functional.max_pool3d(x, 2) if level else x)
            kept.append(x)
        x = kept.pop()
        for decoder in self.decoders:
            beside = kept.pop()
            for axis in (2, 3, 4):
                x = x.repeat_interleave(2, dim=axis)
            x = decoder(torch.cat((beside, x), 1))
        return self.final_conv(x)


class LocalDecoder(nn.Module):
    """Positions (Q, 3) and features (Q, C) to logits (Q,) (Peng et al. 2020, section 3.3)."""

    def __init__(self, width: int, entry: int = 3) -> None:
        super().__init__()
        self.fc_p, self.fc_out = nn.Linear(entry, width), nn.Linear(width, 1)
        self.fc_c = nn.ModuleList(nn.Linear(32, width) for _ in range(5))
        self.blocks = nn.ModuleList(ResnetBlock(width, width) for _ in range(5))

    def forward(self, positions: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        x = self.fc_p(positions)
        for given, block in zip(self.fc_c, self.blocks, strict=True):
            x = block(x + given(features))
        return self.fc_out(x.relu())[:, 0]


class ConditionalNorm(nn.Module):
    """Batch normalisation of (1, C, Q) whose scale and shift are linear in a code (1, K)."""

    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.conv_gamma, self.conv_beta = nn.Conv1d(code, width, 1), nn.Conv1d(code, width, 1)
        self.bn = nn.BatchNorm1d(width, affine=False)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return self.conv_gamma(code[..., None]) * self.bn(x) + self.conv_beta(code[..., None])


class ConditionalBlock(nn.Module):
    def __init__(self, code: int, width: int) -> None:
        super().__init__()
        self.bn_0, self.bn_1 = ConditionalNorm(code, width), ConditionalNorm(code, width)
        self.fc_0, self.fc_1 = nn.Conv1d(width, width, 1), nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return x + self.fc_1(self.bn_1(self.fc_0(self.bn_0(x, code).relu()), code).relu())


class SharedLayers(nn.Module):
    """Layers of kernel 1 with batch normalisation, on (1, C, N) or (1, C, S, K) (Qi et al. 2017)."""

    def __init__(self, entry: int, widths: tuple[int, ...], dimensions: int) -> None:
        super().__init__()
        layer, norm = (nn.Conv1d, nn.BatchNorm1d) if dimensions == 1 else (nn.Conv2d, nn.BatchNorm2d)
        entries = (entry, *widths[:-1])
        self.mlp_convs = nn.ModuleList(layer(*pair, 1) for pair in zip(entries, widths, strict=True))
        self.mlp_bns = nn.ModuleList(norm(width) for width in widths)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = norm(layer(x)).relu()
        return x
