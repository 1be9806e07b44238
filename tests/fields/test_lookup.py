"""The trilinear lookup in sparse cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.fields.lookup import trilinear_lookup
from sparse_convonet.fields.sparse import FieldSample, Level, SparseField
from tests.oracles.trilinear import interpolate


def random_cells(seed: int, stride: int, channels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(-4, 4, (150, 3), generator=generator).unique(dim=0) * stride
    keys, order = torch.sort(pack_keys(torch.cat([torch.zeros(len(cells), 1, dtype=torch.int64), cells], 1)))
    features = torch.randn(len(cells), channels, generator=generator, dtype=torch.float64)
    assert torch.equal(order, order.unique())  # unique(dim=0) sorts as the keys do
    return keys, features


def cell_dictionary(keys: torch.Tensor, features: torch.Tensor) -> dict[tuple[int, int, int], np.ndarray]:
    from sparse_convonet.coordinates import unpack_keys

    return {tuple(cell): value for cell, value in zip(unpack_keys(keys)[:, 1:].tolist(), features.numpy(), strict=True)}


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_lookup_equals_the_brute_force_oracle(stride: int) -> None:
    keys, features = random_cells(stride, stride)
    queries = (torch.rand(300, 3, dtype=torch.float64) * 10 - 5) * stride
    found, weights = trilinear_lookup(keys, features, stride, queries, torch.zeros(300, dtype=torch.int64))
    cells = cell_dictionary(keys, features)
    for query, feature, weight in zip(queries.numpy(), found.numpy(), weights.numpy(), strict=True):
        expected, expected_weight = interpolate(cells, stride, query)
        np.testing.assert_allclose(feature, expected, atol=1e-12)
        np.testing.assert_allclose(weight, expected_weight, atol=1e-12)


def test_gradients_to_features_and_positions_agree_with_finite_differences() -> None:
    keys, features = random_cells(3, 2)
    queries = torch.rand(12, 3, dtype=torch.float64) * 8 - 4
    batch = torch.zeros(12, dtype=torch.int64)

    def look(features: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return trilinear_lookup(keys, features, 2, queries, batch)

    assert torch.autograd.gradcheck(look, (features.requires_grad_(), queries.requires_grad_()))


def test_compiled_lookup_and_its_gradients_equal_those_of_torch_for_two_scenes_and_absurd_queries() -> None:
    levels = []
    for stride in (1, 2, 4):
        keys, features = random_cells(stride, stride)
        second = keys + (1 << 57)  # the same cells in scene 1
        levels.append(Level(stride, torch.cat([keys, second]), torch.cat([features, -features]).float()))
    generator = torch.Generator().manual_seed(0)
    within = torch.rand(500, 3, generator=generator) * 24 - 12
    queries = torch.cat([within, torch.tensor([[1e9, 0, 0], [0, -3e5, 0], [0, 0, 2.6e5]])])
    batch = torch.arange(len(queries)) % 2

    def squares(precise: bool) -> tuple[FieldSample, torch.Tensor, list[torch.Tensor]]:
        """What a field gives, and the gradients of its sum of squares; in float64 by torch's operations."""
        kind = torch.float64 if precise else torch.float32
        rows = [level.features.clone().to(kind).requires_grad_() for level in levels]
        field = SparseField(tuple(Level(lv.stride, lv.keys, own) for lv, own in zip(levels, rows, strict=True)))
        at = queries.clone().to(kind).requires_grad_()
        sample = field.sample(at, batch)
        (sample.features.square().sum() + sample.weights.square().sum()).backward()
        assert at.grad is not None
        return sample, at.grad, [own.grad for own in rows if own.grad is not None]

    found, by_position, by_feature = squares(precise=False)
    expected, expected_by_position, expected_by_feature = squares(precise=True)
    torch.testing.assert_close(by_position.double(), expected_by_position, atol=1e-4, rtol=1e-4)
    assert len(by_feature) == len(expected_by_feature) == 3
    for ours, theirs in zip(by_feature, expected_by_feature, strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(ours.double(), theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.features.double(), expected.features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.weights.double(), expected.weights, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.known, expected.known)
    assert not found.known[-3:].any()


def test_a_linear_function_on_full_cells_is_reproduced_at_centres_and_between() -> None:
    axis = torch.arange(-3, 4)
    cells = torch.cartesian_prod(axis, axis, axis)
    keys = pack_keys(torch.cat([torch.zeros(len(cells), 1, dtype=torch.int64), cells], 1))
    slope = torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
    features = (cells.double() + 0.5) @ slope
    queries = torch.rand(100, 3, dtype=torch.float64) * 5 - 2.4
    found, weights = trilinear_lookup(keys, features, 1, queries, torch.zeros(100, dtype=torch.int64))
    torch.testing.assert_close(found, queries @ slope)
    torch.testing.assert_close(weights, torch.ones(100, dtype=torch.float64))


def test_lookup_in_no_cells_gives_zero_features_and_zero_weight() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    found, weights = trilinear_lookup(
        nothing, torch.zeros(0, 4), 1, torch.rand(3, 3), torch.zeros(3, dtype=torch.int64)
    )
    assert torch.equal(found, torch.zeros(3, 4)) and torch.equal(weights, torch.zeros(3))
