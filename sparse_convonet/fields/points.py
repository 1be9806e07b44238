"""A field whose features sit on the points themselves, blended by a Gaussian kernel."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_convonet.fields.sparse import FieldSample

_PAIRS = 1 << 24  # of query and point whose distances are held at once


@dataclass(frozen=True)
class PointField:
    """places: (N, 3), features: (N, C), both of scenes with `sizes` points each.  sigma: of the kernel."""

    places: torch.Tensor
    features: torch.Tensor
    sizes: tuple[int, ...]
    sigma: float

    def sample(self, queries_unit: torch.Tensor, batch: torch.Tensor) -> FieldSample:
        """Queries (Q, 3), (Q,) int64 scene of each -> features, weighted by exp(-distance^2 / sigma^2), which add to 1."""
        features = self.features.new_zeros(len(queries_unit), self.features.shape[1])
        scenes = zip(self.places.split(self.sizes), self.features.split(self.sizes), strict=True)
        for scene, (places, owned) in enumerate(scenes):
            rows = torch.nonzero(batch == scene)[:, 0]
            for part in rows.split(max(1, _PAIRS // max(1, len(places)))):
                distance = torch.cdist(queries_unit[part], places)
                weight = torch.softmax(-(distance / self.sigma).square(), dim=1)
                features = features.index_copy(0, part, weight @ owned)
        return FieldSample(features, features.new_zeros(len(queries_unit), 0), torch.ones_like(batch, dtype=torch.bool))
