"""Batch normalisation whose statistics are those of the scenes of all processes.

torch.nn.SyncBatchNorm runs on CUDA only and wants the channels in the second axis; this one runs wherever
torch.distributed does, so that the tests on a CPU check what a GPU runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sparse_convonet.training.processes import Processes


class SynchronisedBatchNorm(nn.BatchNorm1d):
    """Takes the place of `norm`, with the same parameters and buffers; normalises the last axis over all others."""

    def __init__(self, norm: nn.BatchNorm1d, processes: Processes) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(self, name, getattr(norm, name))
        self.processes = processes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., C) -> (..., C), as nn.BatchNorm1d of the rows of all processes."""
        rows = x.flatten(0, -2)
        if not self.training:
            return super().forward(rows).view(x.shape)
        normalised, mean, variance, count = _Normalise.apply(rows, self.eps, self.processes)
        self._track(mean, variance, count)
        if self.affine:
            normalised = normalised * self.weight + self.bias
        return normalised.to(x.dtype).view(x.shape)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        unbiased = variance * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps), mean and variance over the rows of all processes.

    Ioffe & Szegedy 2015, algorithm 1 and the derivatives of section 3; the sums run over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, eps: float, processes: Processes
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = rows if rows.dtype == torch.float64 else rows.float()
        count = rows.new_tensor([len(rows)], dtype=torch.float64)
        # In float64, and the variance about the joint mean: nothing cancels where means are large.
        sums = processes.total(torch.cat([rows.sum(dim=0).double(), count]))
        count = sums[-1]
        if count < 2:
            raise ValueError(f"batch normalisation: expected at least two rows in training, found {int(count)}")
        mean = sums[:-1] / count
        centred = rows - mean.to(rows.dtype)
        # Rounding of the mean leaves a remainder, which is taken off again.
        remainder = centred.sum(dim=0).double()
        squares = processes.total(torch.cat([centred.square().sum(dim=0).double(), remainder]))
        width = rows.shape[1]
        variance = squares[:width] / count - (squares[width:] / count).square()
        scale = torch.rsqrt(variance + eps).to(rows.dtype)
        normalised = centred * scale
        ctx.save_for_backward(normalised, scale, count)
        ctx.processes = processes
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        normalised, scale, count = ctx.saved_tensors
        gradient = gradients[0].to(normalised.dtype)
        along = (gradient * normalised).sum(dim=0).double()
        sums = ctx.processes.total(torch.cat([gradient.sum(dim=0).double(), along])) / count
        mean, mean_along = sums.to(gradient.dtype).split(gradient.shape[1])
        return scale * (gradient - mean - normalised * mean_along), None, None


def synchronise_batch_norm(model: nn.Module, processes: Processes) -> None:
    """Give every batch normalisation of `model` the statistics of all processes; names of the state stay."""
    if processes.count == 1:
        return
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d):
                setattr(parent, name, SynchronisedBatchNorm(child, processes))
            elif isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
                raise ValueError(f"{name}: expected batch normalisation of rows, found {type(child).__name__}")
