"""Tensors without voxels, and with one, go through every layer."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

NO_VOXELS = torch.zeros(0, 4, dtype=torch.int32)


def _everything_pruned(engine: ModuleType) -> object:
    voxels = torch.tensor([[0, 0, 0, 0], [0, 4, -3, 1]], dtype=torch.int32)
    x = engine.SparseTensor(torch.ones(2, 16), coordinates=voxels)
    return engine.MinkowskiPruning()(x, torch.zeros(2, dtype=torch.bool))


@pytest.mark.parametrize("pruned", [False, True])
def test_empty_tensors_give_empty_tensors_and_zero_gradients(engine: ModuleType, pruned: bool) -> None:
    x = engine.SparseTensor(torch.zeros(0, 16), coordinates=NO_VOXELS)
    if pruned:
        x = _everything_pruned(engine)
    same = engine.MinkowskiConvolution(16, 16, kernel_size=3, dimension=3, bias=True)
    down = engine.MinkowskiConvolution(16, 32, kernel_size=2, stride=2, dimension=3)
    expand = engine.MinkowskiConvolution(32, 32, kernel_size=3, expand_coordinates=True, dimension=3)
    up = engine.MinkowskiConvolutionTranspose(32, 16, kernel_size=2, stride=2, dimension=3)
    generate = engine.MinkowskiGenerativeConvolutionTranspose(32, 16, kernel_size=2, stride=2, dimension=3)
    norm, relu = engine.MinkowskiBatchNorm(16), engine.MinkowskiReLU()
    pool = engine.MinkowskiMaxPooling(kernel_size=2, stride=2, dimension=3)
    fine = relu(norm(same(x)))
    coarse = expand(down(fine))
    assert fine.F.shape == (0, 16)
    assert coarse.F.shape == (0, 32)
    assert coarse.tensor_stride == [2, 2, 2]
    assert pool(fine).F.shape == (0, 16)
    assert generate(coarse).F.shape == (0, 16)
    back = up(coarse)
    assert engine.cat(back, fine).F.shape == (0, 32)
    assert (back + fine).F.shape == (0, 16)
    assert engine.MinkowskiPruning()(back, torch.zeros(0, dtype=torch.bool)).F.shape == (0, 16)
    back.F.sum().backward()
    for layer in (same, down, expand, up):
        assert layer.kernel.grad is not None
        assert torch.equal(layer.kernel.grad, torch.zeros_like(layer.kernel))


def test_union_with_an_empty_tensor_is_the_other(engine: ModuleType) -> None:
    x = engine.SparseTensor(torch.ones(1, 2), coordinates=torch.tensor([[0, 3, 3, 3]], dtype=torch.int32))
    empty = engine.MinkowskiPruning()(x, torch.zeros(1, dtype=torch.bool))
    union = engine.MinkowskiUnion()
    assert union(empty, empty).F.shape == (0, 2)
    with pytest.raises(ValueError, match="union: expected two tensors or more, found 1"):
        union(x)
    for total in (x + empty, empty + x, union(x, empty), union(empty, empty, x)):
        assert torch.equal(total.C, x.C)
        assert torch.equal(total.F, x.F)


def test_a_pruned_coarse_level_gives_zeros_on_the_fine_one(engine: ModuleType) -> None:
    voxels = torch.tensor([[0, 0, 0, 0], [0, 4, -3, 1]], dtype=torch.int32)
    x = engine.SparseTensor(torch.ones(2, 2), coordinates=voxels)
    coarse = engine.MinkowskiConvolution(2, 3, kernel_size=2, stride=2, dimension=3)(x)
    coarse = engine.MinkowskiPruning()(coarse, torch.zeros(2, dtype=torch.bool))
    up = engine.MinkowskiConvolutionTranspose(3, 5, kernel_size=2, stride=2, bias=True, dimension=3)
    y = up(coarse)
    assert y.coordinate_map_key == x.coordinate_map_key
    assert torch.equal(y.F, up.bias.expand(2, 5))


def test_one_voxel_sees_only_the_centre_of_the_kernel(engine: ModuleType) -> None:
    voxel = torch.tensor([[0, -7, -1, 5]], dtype=torch.int32)
    x = engine.SparseTensor(torch.tensor([[1.0, -2.0]]), coordinates=voxel)
    same = engine.MinkowskiConvolution(2, 3, kernel_size=3, dimension=3)
    torch.testing.assert_close(same(x).F, x.F @ same.kernel[13])
    down = engine.MinkowskiConvolution(2, 3, kernel_size=2, stride=2, dimension=3)
    coarse = down(x)
    assert coarse.C.tolist() == [[0, -8, -2, 4]]
    torch.testing.assert_close(coarse.F, x.F @ down.kernel[7])  # the voxel is the cell's last child, (1, 1, 1)
    assert len(engine.MinkowskiConvolution(2, 3, kernel_size=3, expand_coordinates=True, dimension=3)(x).F) == 27
