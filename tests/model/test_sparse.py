"""The whole network: symmetries that hold by construction."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.model import build_sparse
from sparse_convonet.model.sparse import OUTSIDE_LOGIT, SparseOccupancyNetwork

SMALL = SparseModelConfig(
    engine="native", pointnet_width=8, pointnet_blocks=2, widths=(8, 8, 16), feature_width=8, decoder_width=8
)


@pytest.fixture(scope="module")
def network() -> SparseOccupancyNetwork:
    torch.manual_seed(0)
    model = build_sparse(SMALL)
    with torch.no_grad():  # blocks begin as identities; make every weight count
        for name, value in model.named_parameters():
            if "outer" in name:
                value.normal_(0, 0.3)
        points, batch = surface(0)
        model.encode(points, batch)  # batch norm takes in some statistics
    return model.eval()


def surface(seed: int, count: int = 800) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on a sphere of radius 6 voxels."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1) * 6 + 0.25
    return points, torch.zeros(count, dtype=torch.int64)


def logits(model: SparseOccupancyNetwork, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    zero = torch.zeros(len(points), dtype=torch.int64)
    with torch.no_grad():
        return model.occupancy(model.encode(points, zero), queries, torch.zeros(len(queries), dtype=torch.int64))[0]


def some_queries() -> torch.Tensor:
    return torch.rand(400, 3, generator=torch.Generator().manual_seed(5)) * 20 - 10


@pytest.mark.parametrize("shift", [(1, 0, 0), (-3, 7, 2), (4096, -8192, 40)])
def test_shift_by_whole_multiples_of_the_total_stride_commutes(network: SparseOccupancyNetwork, shift: tuple) -> None:
    points, _ = surface(1)
    moved = torch.tensor(shift, dtype=torch.float64) * network.unet.total_stride
    before = logits(network, points.double(), some_queries().double())
    after = logits(network, points.double() + moved, some_queries().double() + moved)
    torch.testing.assert_close(after, before, atol=2e-5, rtol=1e-4)
    assert before.std() > 1e-3


def test_order_of_the_points_does_not_matter(network: SparseOccupancyNetwork) -> None:
    points, _ = surface(2, 5000)
    before = logits(network, points, some_queries())
    after = logits(network, points[torch.randperm(5000)], some_queries())
    torch.testing.assert_close(after, before, atol=2e-5, rtol=1e-4)


def test_batch_of_two_scenes_equals_each_alone(network: SparseOccupancyNetwork) -> None:
    first, _ = surface(3)
    second = surface(4)[0] * 0.5 + 3
    queries = some_queries()
    point_batch = torch.tensor([0, 1]).repeat_interleave(torch.tensor([len(first), len(second)]))
    query_batch = torch.tensor([0, 1]).repeat_interleave(len(queries))
    with torch.no_grad():
        field = network.encode(torch.cat([first, second]), point_batch)
        both, _ = network.occupancy(field, torch.cat([queries, queries]), query_batch)
    alone = torch.cat([logits(network, first, queries), logits(network, second, queries)])
    torch.testing.assert_close(both, alone, atol=2e-5, rtol=1e-4)


def test_far_from_every_point_nothing_is_known_and_occupancy_is_outside(network: SparseOccupancyNetwork) -> None:
    points, batch = surface(1)
    far = torch.tensor([[500.0, 0, 0], [0, 0, -300.0]])
    found, known = network.occupancy(network.encode(points, batch), far, torch.zeros(2, dtype=torch.int64))
    assert not known.any() and torch.equal(found, torch.full((2,), OUTSIDE_LOGIT))


@pytest.mark.parametrize("points", [torch.tensor([[0.3, 0.2, 0.1]]), torch.tensor([[-0.3, -7.2, 1.1]]).repeat(20, 1)])
def test_one_point_or_one_voxel_is_encoded(network: SparseOccupancyNetwork, points: torch.Tensor) -> None:
    found = logits(network, points, points)
    assert torch.isfinite(found).all() and (found != OUTSIDE_LOGIT).all()


def test_points_beyond_the_receptive_field_do_not_change_a_feature(network: SparseOccupancyNetwork) -> None:
    reach = network.unet.receptive_field_voxels() + network.unet.total_stride
    points, _ = surface(1)
    queries = some_queries()
    lonely = torch.tensor([[10.0 + reach + network.unet.total_stride, 0.5, 0.5]])
    before = logits(network, points, queries)
    torch.testing.assert_close(logits(network, torch.cat([points, lonely]), queries), before, atol=2e-5, rtol=1e-4)


def test_logits_have_gradients_to_positions(network: SparseOccupancyNetwork) -> None:
    points, batch = surface(1)
    field = network.encode(points.double(), batch)
    queries = torch.rand(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 8 - 4
    queries = queries.requires_grad_()
    zero = torch.zeros(50, dtype=torch.int64)
    value, _ = network.occupancy(field, queries, zero)
    (gradient,) = torch.autograd.grad(value.sum(), queries)
    step = 1e-3
    for axis in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[axis] = step
        with torch.enable_grad():
            high, _ = network.occupancy(field, queries.detach() + offset, zero)
            low, _ = network.occupancy(field, queries.detach() - offset, zero)
        # float32 logits: differences over 2e-3 voxels carry about 1e-3 of rounding; kinks of ReLUs and cells may be hit
        close = ((high - low) / (2 * step) - gradient[:, axis]).abs() < 0.02 * (1 + gradient[:, axis].abs())
        assert close.double().mean() > 0.9
