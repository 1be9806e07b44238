"""The generative Occupancy Network: a variational autoencoder of shapes (Mescheder et al. 2019, section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_convonet.decode.conditional_decoder import ConditionalDecoder
from sparse_convonet.encode.latent_encoder import LatentEncoder
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.structures import PointSet


@dataclass(frozen=True)
class LatentField:
    """codes: (B, K), what the decoder sees.  mean, log_deviation: (B, K) of the distribution that they were drawn from."""

    codes: torch.Tensor
    mean: torch.Tensor
    log_deviation: torch.Tensor


class LatentOccupancyNetwork(OccupancyNetwork):
    """Queries with their truth -> a distribution of codes -> the shape.

    In training, codes are drawn from the distribution; otherwise they are its mean.  Codes drawn from the standard normal
    distribution are new shapes (`shapes`).  kl_weight: of the divergence in the loss, 1 for the evidence lower bound.
    """

    coordinates = "unit"
    sees = "queries"

    def __init__(self, *, encoder: LatentEncoder, decoder: ConditionalDecoder, kl_weight: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.kl_weight = kl_weight

    @property
    def code_width(self) -> int:
        """K, numbers of a code."""
        return self.encoder.mean.out_features

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> LatentField:
        """Raises ValueError: points without their truth are not what it sees."""
        raise ValueError("latent network: expected queries with their truth, found points; set data.input to queries")

    def encode_observed(self, near: PointSet, far: PointSet | None = None) -> LatentField:
        """Queries (N, 3), as many of each scene, whose truth (B, N / B) is shown."""
        if near.shown is None:
            return self.encode(near.points, near.batch)
        queries = near.points.to(torch.float32)
        if near.shown.numel() != len(queries):
            raise ValueError(
                f"latent network: expected the truth of {len(queries)} queries, found {near.shown.numel()}"
            )
        mean, log_deviation = self.encoder(queries, near.shown.reshape(-1), near.batch)
        codes = mean
        if self.training:
            codes = mean + torch.exp(log_deviation) * torch.randn_like(mean)
        return LatentField(codes, mean, log_deviation)

    def shapes(self, codes: torch.Tensor) -> LatentField:
        """The field of codes (B, K) that are given."""
        return LatentField(codes, codes, torch.zeros_like(codes))

    def penalty(self, field: LatentField) -> torch.Tensor:
        """() the divergence of the distributions of codes from the standard normal one, summed over the scenes."""
        variance = torch.exp(2 * field.log_deviation.float())
        each = variance + field.mean.float().square() - 1 - 2 * field.log_deviation.float()
        return self.kl_weight * each.sum() / 2

    def occupancy(
        self, field: LatentField, queries: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (Q, 3) in the unit cube, (Q,) int64 -> logits (Q,), and True everywhere."""
        logits = self.decoder(queries.to(torch.float32), field.codes, batch)
        return logits, torch.ones_like(batch, dtype=torch.bool)
