"""PointNet++ (Qi et al. 2017): features of single points from neighbourhoods of growing size.

Three set abstractions (512 centres within 0.2, 128 within 0.4, all) and three propagations back, as in the papers'
PointConv baseline.  Lengths are sides of the unit cube.  Centres are chosen from the first point on, so the features
depend on nothing random.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_NEAREST = 3  # centres that a point takes its features from
_LEAST_SQUARED = 1e-8


@dataclass(frozen=True)
class PointLevel:
    """Points of B scenes, as many in each: places (B, S, 3) and features (B, S, C)."""

    places: torch.Tensor
    features: torch.Tensor


class PointFeatures(nn.Module):
    """Points of scenes -> one feature (feature_width) per point."""

    def __init__(self, feature_width: int) -> None:
        super().__init__()
        self.small = _SetAbstraction(centres=512, radius=0.2, samples=32, entry=6, widths=(64, 64, 128))
        self.large = _SetAbstraction(centres=128, radius=0.4, samples=64, entry=131, widths=(128, 128, 256))
        self.all = _shared_layers(259, (256, 512, 1024))
        self.to_large = _shared_layers(1280, (256, 256))
        self.to_small = _shared_layers(384, (256, 128))
        self.to_points = _shared_layers(128, (128, 128, feature_width))

    def forward(self, points: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Points (N, 3) of scenes, (N,) int64 scene of each, ascending -> (N, feature_width)."""
        scenes = torch.split(points, torch.bincount(batch).tolist())
        small = self.small([PointLevel(each[None], each[None]) for each in scenes])
        large = self.large(
            [PointLevel(*pair) for pair in zip(small.places.split(1), small.features.split(1), strict=True)]
        )
        everything = self.all(torch.cat([large.places, large.features], dim=2)).amax(dim=1, keepdim=True)
        spread = everything.expand(-1, large.places.shape[1], -1)
        large_features = self.to_large(torch.cat([large.features, spread], dim=2))
        blended = _blend(small.places, large.places, large_features)
        small_features = self.to_small(torch.cat([small.features, blended], dim=2))
        parts = [
            _blend(each[None], small.places[scene : scene + 1], small_features[scene : scene + 1])[0]
            for scene, each in enumerate(scenes)
        ]
        return self.to_points(torch.cat(parts))


class _SetAbstraction(nn.Module):
    """The maximum over the points within a radius of each centre."""

    def __init__(self, *, centres: int, radius: float, samples: int, entry: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.centres = centres
        self.radius = radius
        self.samples = samples
        self.layers = _shared_layers(entry, widths)

    def forward(self, scenes: list[PointLevel]) -> PointLevel:
        places, gathered = [], []
        for scene in scenes:
            points, features = scene.places[0], scene.features[0]
            centre = points[farthest_points(points, self.centres)]  # (S, 3)
            near = neighbours_within(points, centre, self.radius, self.samples)  # (S, K)
            gathered.append(torch.cat([points[near] - centre[:, None], features[near]], dim=2))
            places.append(centre)
        return PointLevel(torch.stack(places), self.layers(torch.stack(gathered)).amax(dim=2))


def farthest_points(points: torch.Tensor, count: int) -> torch.Tensor:
    """Rows (count,) of points (N, 3): the first, then always the one farthest from those chosen."""
    chosen = torch.zeros(count, dtype=torch.int64, device=points.device)
    distance = torch.full_like(points[:, 0], float("inf"))
    for step in range(1, count):
        distance = torch.minimum(distance, (points - points[chosen[step - 1]]).square().sum(dim=1))
        chosen[step] = torch.argmax(distance)
    return chosen


def neighbours_within(points: torch.Tensor, centres: torch.Tensor, radius: float, count: int) -> torch.Tensor:
    """Rows (S, count) of the first points (N, 3) within the radius of each centre (S, 3), the first one repeated
    where there are fewer.  Each centre is one of the points."""
    within = torch.cdist(centres, points) <= radius  # (S, N)
    rank = torch.cumsum(within, dim=1)
    wanted = torch.arange(1, count + 1, device=points.device).expand(len(centres), count).contiguous()
    found = torch.searchsorted(rank, wanted)  # the first point at which so many are reached
    return torch.where(wanted <= rank[:, -1:], found, found[:, :1])


def _blend(places: torch.Tensor, centres: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """places (B, N, 3), centres (B, S, 3) with features (B, S, C) -> (B, N, C), weighted by inverse squared distance."""
    distance, row = torch.cdist(places, centres).topk(_NEAREST, dim=2, largest=False)
    weight = 1 / (distance.square() + _LEAST_SQUARED)
    weight = weight / weight.sum(dim=2, keepdim=True)
    scene = torch.arange(len(places), device=places.device)[:, None, None]
    return (features[scene, row] * weight[..., None]).sum(dim=2)


class _BatchNormRows(nn.BatchNorm1d):
    """Batch normalisation of the last axis, over all others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(0, -2)).view(x.shape)


def _shared_layers(entry: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(entry, width), _BatchNormRows(width), nn.ReLU()]
        entry = width
    return nn.Sequential(*layers)
