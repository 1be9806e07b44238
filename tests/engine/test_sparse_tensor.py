"""Sparse tensors: order of rows, what they refuse, sums and concatenation."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from sparse_convonet.coordinates import AXIS_LIMIT
from tests.engine.conftest import sort_rows


def test_rows_are_sorted_and_keep_their_features(native: ModuleType, voxels: torch.Tensor) -> None:
    x = native.SparseTensor(voxels.float() * 2, coordinates=voxels)
    assert torch.equal(x.C, voxels[sort_rows(voxels)])
    assert torch.equal(x.F, x.C.float() * 2)


def test_sorted_rows_are_not_copied(native: ModuleType, voxels: torch.Tensor) -> None:
    features = torch.randn(len(voxels), 2)
    x = native.SparseTensor(features, coordinates=voxels[sort_rows(voxels)])
    assert x.F is features


def test_gradient_returns_to_unsorted_rows(engine: ModuleType, voxels: torch.Tensor) -> None:
    features = torch.zeros(len(voxels), 4, requires_grad=True)
    x = engine.SparseTensor(features, coordinates=voxels)
    (x.F * x.C).sum().backward()
    assert features.grad is not None
    assert torch.equal(features.grad, voxels.float())


def test_duplicates_are_refused(engine: ModuleType) -> None:
    voxels = torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]], dtype=torch.int32)
    with pytest.raises(ValueError, match="each voxel once, found 1 duplicates among 3 rows"):
        engine.SparseTensor(torch.zeros(3, 1), coordinates=voxels)


@pytest.mark.parametrize(
    ("coordinates", "features", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.int32), torch.zeros(2, 1), r"expected shape \(V, 4\)"),
        (torch.zeros(1, 4), torch.zeros(1, 1), "expected integers, found torch.float32"),
        (torch.zeros(1, 4, dtype=torch.int32), torch.zeros(2, 1), "2 rows for 1 voxels"),
        (torch.zeros(1, 4, dtype=torch.int32), torch.zeros(1), r"expected shape \(V, C\), found \(1,\)"),
        (torch.tensor([[0, AXIS_LIMIT - 1, 0, 0]]), torch.zeros(1, 1), "use larger voxels"),
        (torch.tensor([[-1, 0, 0, 0]]), torch.zeros(1, 1), "batch index: expected 0 to"),
        (None, torch.zeros(1, 1), "found neither"),
    ],
)
def test_bad_input_is_named(
    native: ModuleType, coordinates: torch.Tensor | None, features: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        native.SparseTensor(features, coordinates=coordinates)


def test_coordinates_between_cells_of_the_stride_are_refused(native: ModuleType) -> None:
    with pytest.raises(ValueError, match="multiples of the tensor stride 2"):
        native.SparseTensor(torch.zeros(1, 1), coordinates=torch.tensor([[0, 0, -1, 0]]), tensor_stride=2)


def test_sum_over_one_map_adds_rows(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(torch.randn(len(voxels), 2), coordinates=voxels)
    total = x + x
    assert total.coordinate_map_key == x.coordinate_map_key
    assert torch.equal(total.F, 2 * x.F)


def test_sum_over_two_maps_covers_their_union(engine: ModuleType, voxels: torch.Tensor) -> None:
    ones = torch.ones(len(voxels), 1)
    x = engine.SparseTensor(ones[:150], coordinates=voxels[:150])
    y = engine.SparseTensor(ones[100:], coordinates=voxels[100:], coordinate_manager=x.coordinate_manager)
    total = x + y
    expected = torch.ones(len(voxels))
    expected[100:150] = 2
    assert torch.equal(total.C[sort_rows(total.C)], voxels[sort_rows(voxels)])
    assert torch.equal(total.F[sort_rows(total.C), 0], expected[sort_rows(voxels)])


def test_cat_puts_channels_side_by_side_and_refuses_other_maps(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(torch.randn(len(voxels), 2), coordinates=voxels)
    assert torch.equal(engine.cat(x, x).F, torch.cat([x.F, x.F], dim=1))
    coarse = engine.MinkowskiMaxPooling(kernel_size=2, stride=2, dimension=3)(x)
    with pytest.raises(ValueError, match="one coordinate map"):
        engine.cat(x, coarse)


def test_tensors_of_two_managers_do_not_mix(native: ModuleType, voxels: torch.Tensor) -> None:
    x, y = (native.SparseTensor(torch.zeros(len(voxels), 1), coordinates=voxels) for _ in range(2))
    with pytest.raises(ValueError, match="one coordinate manager"):
        native.cat(x, y)


def test_pruning_keeps_the_rows_of_the_mask(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(voxels.float(), coordinates=voxels)
    pruned = engine.MinkowskiPruning()(x, x.C[:, 1] < 0)
    assert torch.equal(pruned.F, pruned.C.float())
    expected = voxels[voxels[:, 1] < 0]
    assert torch.equal(pruned.C[sort_rows(pruned.C)], expected[sort_rows(expected)])


def test_pruning_refuses_masks_of_other_sizes(native: ModuleType, voxels: torch.Tensor) -> None:
    x = native.SparseTensor(voxels.float(), coordinates=voxels)
    with pytest.raises(ValueError, match=r"pruning mask: expected \(\d+,\) bool, found \(3,\)"):
        native.MinkowskiPruning()(x, torch.ones(3, dtype=torch.bool))


def test_pooling_equals_a_loop_over_parents(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(torch.randn(len(voxels), 3), coordinates=voxels)
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, (b, i, j, k) in enumerate(x.C.tolist()):
        rows.setdefault((b, i // 2 * 2, j // 2 * 2, k // 2 * 2), []).append(row)
    reductions = {
        "MinkowskiMaxPooling": lambda f: f.amax(dim=0),
        "MinkowskiSumPooling": lambda f: f.sum(dim=0),
        "MinkowskiAvgPooling": lambda f: f.mean(dim=0),
    }
    for layer, reduce in reductions.items():
        y = getattr(engine, layer)(kernel_size=2, stride=2, dimension=3)(x)
        assert len(y.C) == len(rows)
        expected = torch.stack([reduce(x.F[rows[tuple(cell)]]) for cell in y.C.tolist()])
        torch.testing.assert_close(y.F, expected, rtol=1e-6, atol=1e-6)
