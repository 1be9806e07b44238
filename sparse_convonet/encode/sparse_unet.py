"""Sparse 3D U-Net whose coarse levels reach beyond the measured surface."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import nn


class ConvolutionBlock(nn.Module):
    """A convolution of the engine, batch norm, ReLU."""

    def __init__(self, *, engine: ModuleType, convolution: nn.Module, width: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = engine.MinkowskiBatchNorm(width)
        self.relu = engine.MinkowskiReLU(inplace=True)

    def forward(self, x: Any, onto: Any = None) -> Any:
        """onto: the coordinate map of the result, if it is not the convolution's own."""
        return self.relu(self.norm(self.convolution(x, onto)))


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions beside an identity."""

    def __init__(self, *, engine: ModuleType, width: int) -> None:
        super().__init__()
        self.first = ConvolutionBlock(engine=engine, convolution=_same(engine, width, width), width=width)
        self.second = _same(engine, width, width)
        self.norm = engine.MinkowskiBatchNorm(width)
        self.relu = engine.MinkowskiReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        return self.relu(self.norm(self.second(self.first(x))) + x)


def _same(engine: ModuleType, width_in: int, width_out: int, *, expand: bool = False) -> nn.Module:
    return engine.MinkowskiConvolution(
        width_in, width_out, kernel_size=3, stride=1, bias=False, dimension=3, expand_coordinates=expand
    )


class SparseUNet(nn.Module):
    """Levels at strides 1, 2, 4, ...; one width per level.

    From stride `dilate_from_stride` on, a convolution that expands coordinates covers the
    neighbourhood of the surface with coarse cells, so that gaps of the scan and the inside of
    furniture have features while fine cells exist only where points are.  Stride 1 surrounds the points with fine cells
    too: several times as many, which learn thin things in fewer steps.
    """

    def __init__(
        self,
        *,
        engine: ModuleType,
        width_in: int,
        widths: tuple[int, ...],
        blocks_per_level: int,
        dilate_from_stride: int,
    ) -> None:
        super().__init__()
        self.engine = engine
        self.widths = widths
        self.blocks_per_level = blocks_per_level
        self.dilate_from_stride = dilate_from_stride

        def block(convolution: nn.Module, width: int) -> nn.Module:
            return ConvolutionBlock(engine=engine, convolution=convolution, width=width)

        def residuals(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(engine=engine, width=width) for _ in range(blocks_per_level)))

        stem = _same(engine, width_in, widths[0], expand=dilate_from_stride == 1)
        self.stem = block(stem, widths[0])
        self.downs = nn.ModuleList()
        self.expands = nn.ModuleList()
        self.down_blocks = nn.ModuleList([residuals(widths[0])])
        self.ups = nn.ModuleList()
        self.merges = nn.ModuleList()
        self.up_blocks = nn.ModuleList()
        for level, (finer, coarser) in enumerate(zip(widths, widths[1:], strict=False)):
            stride = 2 ** (level + 1)
            down = engine.MinkowskiConvolution(finer, coarser, kernel_size=2, stride=2, bias=False, dimension=3)
            self.downs.append(block(down, coarser))
            dilated = stride >= dilate_from_stride
            self.expands.append(
                block(_same(engine, coarser, coarser, expand=True), coarser) if dilated else nn.Identity()
            )
            self.down_blocks.append(residuals(coarser))
            up = engine.MinkowskiConvolutionTranspose(coarser, finer, kernel_size=2, stride=2, bias=False, dimension=3)
            self.ups.append(block(up, finer))
            self.merges.append(block(_same(engine, 2 * finer, finer), finer))
            self.up_blocks.append(residuals(finer))

    @property
    def total_stride(self) -> int:
        """Stride of the coarsest level, in voxels; shifts by it commute with the network."""
        return 2 ** (len(self.widths) - 1)

    def inputs_along_axis(self, low: int, high: int) -> tuple[int, int]:
        """Along one axis, the voxels [first, last) whose points can change what a box [low, high) of voxels gets.

        That is which cells exist at any level, and their features, of all cells that reach into the box.  Counted
        backwards along the longest path: up every level and down again.  Each 3x3x3 convolution at stride s reads
        s voxels to both sides; going up, a cell reads the whole coarser cell that holds it.
        """
        coarsest = len(self.widths) - 1
        for level in range(coarsest):
            reach, coarser = self.reach_up(level), 2 << level
            low, high = (low - reach) // coarser * coarser, -(-(high + reach) // coarser) * coarser
        for level in range(coarsest, -1, -1):
            low, high = low - self.reach_down(level), high + self.reach_down(level)
        return low, high

    def reach_down(self, level: int) -> int:
        """How many voxels to both sides of a box of whole cells `go_down` reads for the cells of a level in it."""
        before_blocks = 1 if level == 0 else int(2**level >= self.dilate_from_stride)  # the stem; expansion
        return (before_blocks + 2 * self.blocks_per_level) << level

    def reach_up(self, level: int) -> int:
        """The same of `go_up`, which reads whole cells of the coarser level: the merging convolution and the blocks."""
        return (1 + 2 * self.blocks_per_level) << level

    def receptive_field_voxels(self) -> int:
        """How far, in voxels, an input can be from a cell's border and still change its feature, wherever the cell is."""
        ends = [(place, *self.inputs_along_axis(place, place + 1)) for place in range(self.total_stride)]
        return max(max(place - first, last - place - 1) for place, first, last in ends)

    def expansion_voxels(self) -> int:
        """How far beyond the coarsest cell that holds a point there are cells of any level."""
        return sum(2**level for level in range(len(self.widths)) if 2**level >= self.dilate_from_stride)

    def forward(
        self, features: torch.Tensor, coordinates: torch.Tensor, add_context: Callable[[Any], Any] | None = None
    ) -> list[Any]:
        """(V, C) features on (V, 4) int32 coordinates -> sparse tensors, one per level, finest first.

        add_context: see `go_down`.
        """
        x = self.engine.SparseTensor(features, coordinates=coordinates)
        skips = []
        for level in range(len(self.widths)):
            x = self.go_down(level, x, add_context)
            skips.append(x)
        levels = [skips.pop()]
        for level in reversed(range(len(self.ups))):
            levels.append(self.go_up(level, levels[-1], skips[level]))
        return levels[::-1]

    def go_down(self, level: int, x: Any, add_context: Callable[[Any], Any] | None = None) -> Any:
        """The way down to a level: from the voxels of the points to level 0, else from the level before.

        add_context: what the cells of the coarsest level go through before its blocks: they take in there what is known
        of farther away.
        """
        x = self.stem(x) if level == 0 else self.expands[level - 1](self.downs[level - 1](x))
        if add_context is not None and level == len(self.widths) - 1:
            x = add_context(x)
        return self.down_blocks[level](x)

    def go_up(self, level: int, x: Any, skip: Any, onto: Any = None) -> Any:
        """From the next coarser level to this one.  skip: what `go_down` gave here.  onto: its map, if x was not made
        from it."""
        return self.up_blocks[level](self.merges[level](self.engine.cat(self.ups[level](x, onto), skip)))
