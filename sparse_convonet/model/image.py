"""The Occupancy Network of single pictures (Mescheder et al. 2019, section 4.3)."""

from __future__ import annotations

import torch

from sparse_convonet.decode.conditional_decoder import ConditionalDecoder
from sparse_convonet.encode.image_encoder import ImageEncoder
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.structures import PointSet


class ImageOccupancyNetwork(OccupancyNetwork):
    """A picture of an object -> a code -> the object in its own frame: where the camera stood is not asked for."""

    coordinates = "unit"
    sees = "image"

    def __init__(self, *, encoder: ImageEncoder, decoder: ConditionalDecoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Raises ValueError: points are not what it sees."""
        raise ValueError("image network: expected pictures, found points alone; set data.input to image")

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> torch.Tensor:
        """Pictures (B, 3, S, S) float32, 0 to 1, that are shown -> codes (B, K)."""
        if near.shown is None:
            return self.encode(near.points, near.batch)
        return self.encoder(near.shown)

    def occupancy(
        self, field: torch.Tensor, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3) in the unit cube, (Q,) int64 -> logits (Q,), and True everywhere."""
        logits = self.decoder(queries.to(torch.float32), field, batch)
        return logits, torch.ones_like(batch, dtype=torch.bool)
