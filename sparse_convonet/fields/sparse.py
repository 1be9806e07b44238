"""The sparse field: features of all levels of a sparse U-Net, known near the surface only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.fields import lookup_numba
from sparse_convonet.fields.lookup import trilinear_lookup
from sparse_convonet.runtime.threads import run_ranges


@dataclass(frozen=True)
class Level:
    """Cells of one stride: keys (V,) int64 sorted, features (V, C), both of the same rows."""

    stride: int
    keys: torch.Tensor
    features: torch.Tensor


@dataclass(frozen=True)
class JoinedLevels:
    """All levels one after the other: keys (V,) int64, features (V, C), starts (L + 1,) rows, strides (L,)."""

    keys: np.ndarray
    features: np.ndarray
    starts: np.ndarray
    strides: np.ndarray


@dataclass(frozen=True)
class FieldSample:
    """What a field says about queries: features (Q, C), weights (Q, L) per level, known (Q,) bool."""

    features: torch.Tensor
    weights: torch.Tensor
    known: torch.Tensor


@dataclass(frozen=True)
class SparseField:
    """Features that live on sparse cells at several strides, finest first."""

    levels: tuple[Level, ...]

    @cached_property
    def joined(self) -> JoinedLevels:
        """The levels as arrays on the CPU, for compiled loops."""
        return JoinedLevels(
            keys=torch.cat([level.keys for level in self.levels]).cpu().numpy(),
            features=torch.cat([level.features.detach() for level in self.levels]).cpu().numpy(),
            starts=np.cumsum([0, *(len(level.keys) for level in self.levels)]),
            strides=np.array([level.stride for level in self.levels]),
        )

    def sample(self, queries_voxel: torch.Tensor, batch: torch.Tensor) -> FieldSample:
        """Queries (Q, 3) in voxel coordinates, (Q,) int64 scene of each -> features summed over the levels."""
        features = self.levels[0].features
        if compiled_loops_take(features) and features.dtype == torch.float32:
            by_level = [level.features for level in self.levels]
            total, weights = _CompiledSample.apply(queries_voxel, batch, self.levels, *by_level)
        else:
            sampled = [trilinear_lookup(lv.keys, lv.features, lv.stride, queries_voxel, batch) for lv in self.levels]
            total = torch.stack([feature for feature, _ in sampled]).sum(0)
            weights = torch.stack([weight for _, weight in sampled], dim=1)
        return FieldSample(features=total, weights=weights, known=(weights.detach() > 0).any(dim=1))


_CHUNK = 4096  # queries that one thread takes at a time


def _in_parallel(kernel: Callable[..., None], arrays: tuple[Any, ...], count: int) -> None:
    parts = max(1, count // _CHUNK)
    run_ranges(lambda part, begin, end: kernel(*arrays, begin, end), count, parts)


class _CompiledSample(torch.autograd.Function):
    """Features (Q, C) and weights (Q, L) by compiled loops, differentiable in the positions and the features.

    features: those of the levels once more, as autograd wants to see them.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, queries_voxel: torch.Tensor, batch: torch.Tensor, levels: tuple[Level, ...], *features: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.levels, ctx.batch = levels, batch
        ctx.save_for_backward(queries_voxel)
        queries = np.ascontiguousarray(queries_voxel.detach().numpy())
        total = np.zeros((len(queries), levels[0].features.shape[1]), dtype=np.float32)
        weights = np.zeros((len(levels), len(queries)), dtype=np.float32)
        for level, weight in zip(levels, weights, strict=True):
            keys, values = level.keys.numpy(), _rows_of(level)
            arrays = (keys, values, level.stride, queries, batch.numpy(), total, weight)
            _in_parallel(lookup_numba.accumulate_level, arrays, len(queries))
        return torch.from_numpy(total), torch.from_numpy(weights.T.copy())

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, feature_gradient: torch.Tensor, weight_gradient: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        (queries_voxel,) = ctx.saved_tensors
        queries, batch = np.ascontiguousarray(queries_voxel.detach().numpy()), ctx.batch.numpy()
        by_feature, by_weight = feature_gradient.contiguous().numpy(), weight_gradient.t().contiguous().numpy()
        by_position: torch.Tensor | None = None
        if ctx.needs_input_grad[0]:
            out = np.zeros((len(queries), 3), dtype=np.float32)
            for level, weight in zip(ctx.levels, by_weight, strict=True):
                arrays = (level.keys.numpy(), _rows_of(level), level.stride, queries, batch, by_feature, weight, out)
                _in_parallel(lookup_numba.accumulate_position_gradient, arrays, len(queries))
            by_position = torch.from_numpy(out).to(queries_voxel.dtype)
        by_level: list[torch.Tensor | None] = []
        for level, needed in zip(ctx.levels, ctx.needs_input_grad[3:], strict=True):
            gradient = torch.zeros_like(level.features) if needed else None
            if gradient is not None:
                lookup_numba.accumulate_feature_gradient(
                    level.keys.numpy(), level.stride, queries, batch, by_feature, gradient.numpy()
                )
            by_level.append(gradient)
        return by_position, None, None, *by_level


def _rows_of(level: Level) -> np.ndarray:
    """(V, C) float32 features of a level, each row in one piece."""
    return np.ascontiguousarray(level.features.detach().numpy())
