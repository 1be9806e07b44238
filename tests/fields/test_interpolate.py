"""Our own interpolation of dense maps: grid_sample's values, and second derivatives that it lacks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from sparse_convonet.fields.dense import DenseField, interpolate


@pytest.mark.parametrize("axes", [2, 3])
def test_values_are_those_of_grid_sample_beyond_the_border_too(axes: int) -> None:
    torch.manual_seed(0)
    maps = torch.randn(4, *[5] * axes, dtype=torch.float64)
    shares = torch.rand(300, axes, dtype=torch.float64) * 1.2 - 0.1
    shares[:2] = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    places = (2 * shares - 1).reshape(1, 300, *[1] * (axes - 1), axes)
    expected = functional.grid_sample(maps[None], places, padding_mode="border", align_corners=True).reshape(4, 300)
    torch.testing.assert_close(interpolate(maps, shares), expected, atol=1e-12, rtol=0)


def test_it_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    shares = (torch.rand(6, 3, dtype=torch.float64) * 0.9 + 0.02).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda at: interpolate(maps, at).sin(), [shares])


def test_a_dense_field_gives_the_same_with_and_without_gradients() -> None:
    torch.manual_seed(0)
    planes = {name: torch.randn(2, 3, 8, 8) for name in ("xz", "xy")}
    field = DenseField(planes, torch.randn(2, 3, 8, 8, 8), "linear")
    queries, batch = torch.rand(40, 3) - 0.5, torch.arange(2).repeat_interleave(20)
    found = field.sample(queries.clone().requires_grad_(), batch).features
    torch.testing.assert_close(found, field.sample(queries, batch).features, atol=1e-5, rtol=1e-5)
