"""The published networks whole: points and queries of one scene to logits, in float64, one cell and one point at a time.

Convolutional Occupancy Networks (Peng et al. 2020, section 3 and supplementary), Occupancy Networks (Mescheder et al. 2019)
and PointNet++ (Qi et al. 2017), with the names and shapes of the published checkpoints.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from tests.oracles.published_layers import (
    ConditionalBlock,
    ConditionalNorm,
    LocalDecoder,
    ResnetBlock,
    SharedLayers,
    UNet2d,
    UNet3d,
)

PLANES = {"xz": (0, 2), "xy": (0, 1), "yz": (1, 2)}
Cells = list[tuple[int, ...]]


def place(positions: torch.Tensor, margin: float) -> torch.Tensor:
    """Where positions lie in the cube that is padded by a tenth and a margin, 0 to 1."""
    share = positions / (1.1 + margin) + 0.5
    return torch.where(share >= 1, 1 - margin, torch.where(share < 0, 0.0, share))


def cells_of(shares: torch.Tensor, size: int) -> Cells:
    return [tuple(int(value * size) for value in row) for row in shares.tolist()]


def rows_of_cells(cells: Cells) -> dict[tuple[int, ...], list[int]]:
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, cell in enumerate(cells):
        rows.setdefault(cell, []).append(row)
    return rows


def scatter(features: torch.Tensor, cells: Cells, size: int) -> torch.Tensor:
    """(1, C, R, R) or (1, C, R, R, R): the mean of each cell; the last axis is the first coordinate."""
    total = features.new_zeros(features.shape[1], *[size] * len(cells[0]))
    for cell, rows in rows_of_cells(cells).items():
        index: Any = (slice(None), *reversed(cell))
        total[index] = features[rows].mean(0)
    return total[None]


def look_up(maps: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """(Q, C): interpolation between cells of which the first and the last sit where shares are 0 and 1."""
    axes, size = shares.shape[1], maps.shape[-1]
    low = (shares * (size - 1)).floor().clamp(0, size - 2)
    part = shares * (size - 1) - low
    found = shares.new_zeros(len(shares), maps.shape[1])
    for corner in itertools.product((0, 1), repeat=axes):
        weight = torch.ones_like(shares[:, 0])
        for axis, up in enumerate(corner):
            weight = weight * (part[:, axis] if up else 1 - part[:, axis])
        index: Any = (0, slice(None), *((low[:, axis] + corner[axis]).long() for axis in reversed(range(axes))))
        found += weight[:, None] * maps[index].T
    return found


class LocalPoolPointNet(nn.Module):
    """Points to features, pooled between the blocks over the cells of each plane and of the grid."""

    def __init__(self, plane_depth: int, grid_levels: int, entry: int = 3) -> None:
        super().__init__()
        self.mean = False
        self.fc_pos, self.fc_c = nn.Linear(entry, 64), nn.Linear(32, 32)
        self.blocks = nn.ModuleList(ResnetBlock(64, 32) for _ in range(5))
        if plane_depth:
            self.unet = UNet2d(plane_depth)
        if grid_levels:
            self.unet3d = UNet3d(grid_levels)

    def features(self, positions: torch.Tensor, kinds: list[Cells]) -> torch.Tensor:
        x = self.blocks[0](self.fc_pos(positions))
        for block in self.blocks[1:]:
            pooled = torch.zeros_like(x)
            for rows in (rows for cells in kinds for rows in rows_of_cells(cells).values()):
                pooled[rows] += x[rows].mean(0) if self.mean else x[rows].amax(0)
            x = block(torch.cat((x, pooled), 1))
        return self.fc_c(x)


class ConvolutionalNetwork(nn.Module):
    """Planes, a grid, or both, in the unit cube."""

    def __init__(
        self, planes: tuple[str, ...], plane: tuple[int, int], grid: tuple[int, int], mean: bool = False
    ) -> None:
        """plane, grid: resolution and levels of the U-Net; (0, 0): none.  mean: pool by it, not by the maximum."""
        super().__init__()
        self.planes, self.plane_size, self.grid_size = planes, plane[0], grid[0]
        self.encoder = LocalPoolPointNet(plane[1], grid[1])
        self.encoder.mean = mean
        self.decoder = LocalDecoder(32)

    def cells(self, points: torch.Tensor) -> dict[str, Cells]:
        kinds = {name: cells_of(place(points[:, PLANES[name]], 1e-5), self.plane_size) for name in self.planes}
        if self.grid_size:
            kinds["grid"] = cells_of(place(points, 1e-3), self.grid_size)
        return kinds

    def forward(self, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        return self.answer(points, self.encoder.features(points, list(self.cells(points).values())), queries)

    def answer(self, points: torch.Tensor, features: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        sampled = torch.zeros(len(queries), 32, dtype=queries.dtype)
        for name, cells in self.cells(points).items():
            if name == "grid":
                maps = self.encoder.unet3d(scatter(features, cells, self.grid_size))
                sampled += look_up(maps, place(queries, 1e-3))
            else:
                maps = self.encoder.unet(scatter(features, cells, self.plane_size))
                sampled += look_up(maps, place(queries[:, PLANES[name]], 1e-5))
        return self.decoder(queries, sampled)


class VoxelNetwork(nn.Module):
    """Voxel super-resolution (section 4.2): one convolution of the occupied voxels (R, R, R) instead of the PointNet."""

    def __init__(self, planes: tuple[str, ...], plane: tuple[int, int], grid: tuple[int, int]) -> None:
        super().__init__()
        self.inner = [ConvolutionalNetwork(planes, plane, grid)]  # in a list: its PointNet is not part of this network
        self.plane_size, self.grid_size = plane[0], grid[0]
        self.decoder, self.encoder = self.inner[0].decoder, nn.Module()
        self.encoder.conv_in = nn.Conv3d(1, 32, 3, padding=1)
        for name in ("unet", "unet3d"):
            if hasattr(self.inner[0].encoder, name):
                setattr(self.encoder, name, getattr(self.inner[0].encoder, name))

    def forward(self, occupied: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        first: Any = self.encoder.conv_in
        features = first(occupied[None, None]).relu()[0]
        steps = torch.linspace(-0.5, 0.5, len(occupied), dtype=queries.dtype)
        lattice = torch.cartesian_prod(steps, steps, steps)
        return self.inner[0].answer(lattice, features.flatten(1).T, queries)


class CropNetwork(nn.Module):
    """The network for crops: a box of `size` voxels from `low` on; positions within their voxel (supplementary).

    waves: positions as sines and cosines of ten octaves.
    """

    def __init__(self, levels: int, voxel: float, low: tuple[int, int, int], size: int, waves: bool = False) -> None:
        super().__init__()
        entry = 60 if waves else 3
        self.encoder, self.decoder = LocalPoolPointNet(0, levels, entry), LocalDecoder(32, entry)
        self.waves = waves
        self.voxel, self.low, self.size = voxel, torch.tensor(low, dtype=torch.float64) * voxel, size

    def local(self, positions: torch.Tensor) -> torch.Tensor:
        within = torch.remainder(positions, self.voxel) / self.voxel
        if not self.waves:
            return within
        columns = []
        for octave in range(10):
            for shift in (0.0, torch.pi / 2):  # a cosine is a sine a quarter further
                columns += [torch.sin(torch.pi * 2**octave * (2 * within[:, axis] - 1) + shift) for axis in range(3)]
        return torch.stack(columns, 1)

    def forward(self, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        cells = cells_of((points - self.low) / (self.size * self.voxel), self.size)
        features = self.encoder.features(self.local(points), [cells])
        maps = self.encoder.unet3d(scatter(features, cells, self.size))
        sampled = look_up(maps, (queries - self.low) / (self.size * self.voxel))
        return self.decoder(self.local(queries), sampled)


class _GlobalPointNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc_pos, self.fc_c = nn.Linear(3, 1024), nn.Linear(512, 512)
        for number in range(5):
            setattr(self, f"block_{number}", ResnetBlock(1024, 512))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        x = self.fc_pos(points)
        for number in range(5):
            x = getattr(self, f"block_{number}")(torch.cat((x, x.amax(0).expand_as(x)), 1) if number else x)
        return self.fc_c(x.amax(0).relu())[None]


class _ConditionalDecoder(nn.Module):
    def __init__(self, code: int = 512) -> None:
        super().__init__()
        self.fc_p, self.fc_out, self.bn = nn.Conv1d(3, 256, 1), nn.Conv1d(256, 1, 1), ConditionalNorm(code, 256)
        for number in range(5):
            setattr(self, f"block{number}", ConditionalBlock(code, 256))

    def forward(self, queries: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        x = self.fc_p(queries.T[None])
        for number in range(5):
            x = getattr(self, f"block{number}")(x, code)
        return self.fc_out(self.bn(x, code).relu())[0, 0]


class VoxelOccupancyNet(nn.Module):
    """One code of 256 numbers for 32^3 voxels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Module(), _ConditionalDecoder(256)
        widths = (1, 32, 64, 128, 256, 512)
        self.names = ("conv_in", "conv_0", "conv_1", "conv_2", "conv_3")
        for number, name in enumerate(self.names):
            layer = nn.Conv3d(widths[number], widths[number + 1], 3, stride=2 if number else 1, padding=1)
            setattr(self.encoder, name, layer)
        self.encoder.fc = nn.Linear(512 * 8, 256)

    def forward(self, occupied: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        x = occupied[None, None]
        for name in self.names:
            x = getattr(self.encoder, name)(x).relu()
        last: Any = self.encoder.fc
        return self.decoder(queries, last(x.reshape(1, -1)))


class OccupancyNet(nn.Module):
    """One code for the whole scene."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _GlobalPointNet(), _ConditionalDecoder()

    def forward(self, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        return self.decoder(queries, self.encoder(points))


class _PointNetPlusPlus(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sa1 = SharedLayers(6, (64, 64, 128), 2)
        self.sa2 = SharedLayers(131, (128, 128, 256), 2)
        self.sa3 = SharedLayers(259, (256, 512, 1024), 2)
        self.fp3 = SharedLayers(1280, (256, 256), 1)
        self.fp2 = SharedLayers(384, (256, 128), 1)
        self.fp1 = SharedLayers(128, (128, 128, 32), 1)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """(N, 3) -> (N, 32)."""
        small, of_small = abstract(self.sa1, points, points, 512, 0.2, 32)
        large, of_large = abstract(self.sa2, small, of_small, 128, 0.4, 64)
        everything = self.sa3(torch.cat((large, of_large), 1).T[None, :, :, None])[0, :, :, 0].amax(1)
        spread = everything.expand(len(large), -1)
        of_large = self.fp3(torch.cat((of_large, spread), 1).T[None])[0].T
        of_small = self.fp2(torch.cat((of_small, blend(small, large, of_large)), 1).T[None])[0].T
        return self.fp1(blend(points, small, of_small).T[None])[0].T


def abstract(
    layers: SharedLayers, points: torch.Tensor, features: torch.Tensor, count: int, radius: float, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres (count, 3), each the farthest from those before it, and what the first points around them say."""
    chosen = [0]
    apart = (points[:, None] - points).square().sum(2)  # (N, N)
    while len(chosen) < count:
        chosen.append(int(apart[chosen].amin(0).argmax()))
    said = []
    for centre in points[chosen]:
        near = torch.nonzero((points - centre).norm(dim=1) <= radius)[:most, 0]
        told = torch.cat((points[near] - centre, features[near]), 1)
        said.append(layers(told.T[None, :, None])[0, :, 0].amax(1))
    return points[chosen], torch.stack(said)


def blend(points: torch.Tensor, centres: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """Features of the three nearest centres, weighted by the inverse of the squared distance."""
    parts = []
    for point in points:
        squared, near = (centres - point).square().sum(1).topk(3, largest=False)
        weight = 1 / (squared + 1e-8)
        parts.append((weight / weight.sum()) @ features[near])
    return torch.stack(parts)


class PointConvNetwork(nn.Module):
    """Features of points, blended by a Gaussian of width 0.2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _PointNetPlusPlus(), LocalDecoder(width)

    def forward(self, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        features = self.encoder(points)
        weight = torch.exp(-((queries[:, None] - points).square().sum(2)) / 0.2**2)
        return self.decoder(queries, weight @ features / weight.sum(1, keepdim=True))
