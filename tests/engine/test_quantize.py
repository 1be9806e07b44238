"""From points to voxels: both engines against a dictionary, and against each other."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.engine import native as native_engine

_SIZES = st.sampled_from([None, 1, 0.3, 2.5, [0.5, 0.4, 0.3], (1.0, 2.0, 0.7), np.array([0.1, 0.2, 0.3])])
_TYPES = st.sampled_from([np.float64, np.float32, np.int64, torch.float32, torch.float64, torch.int32])


def _points(seed: int, count: int, reach: float, kind: Any) -> Any:
    points = np.random.default_rng(seed).uniform(-reach, reach, (count, 3))
    return torch.from_numpy(points).to(kind) if isinstance(kind, torch.dtype) else points.astype(kind)


def test_quantization_equals_a_dictionary(engine: ModuleType, rng: np.random.Generator) -> None:
    points, labels = rng.uniform(-3, 3, (500, 3)), np.arange(500)
    first: dict[tuple[int, ...], int] = {}
    for row, voxel in enumerate(np.floor(points / 0.5).astype(int).tolist()):
        first.setdefault(tuple(voxel), row)
    voxels, features, kept, unique, inverse = engine.sparse_quantize(
        points, points, labels, return_index=True, return_inverse=True, quantization_size=0.5
    )
    assert voxels.dtype == torch.int32 and list(map(tuple, voxels.tolist())) == list(first)
    assert unique.tolist() == list(first.values())
    assert np.array_equal(features, points[unique.numpy()]) and np.array_equal(kept, labels[unique.numpy()])
    assert np.array_equal(voxels[inverse].numpy(), np.floor(points / 0.5))


@given(st.integers(0, 99), st.integers(0, 300), st.sampled_from([1.5, 40.0, 1e8]), _TYPES, _SIZES, st.booleans())
def test_quantization_equals_minkowski_engine(
    minkowski: ModuleType, seed: int, count: int, reach: float, kind: Any, size: Any, with_labels: bool
) -> None:
    points = _points(seed, count, reach, kind)
    labels = torch.arange(count) % 7 if isinstance(points, torch.Tensor) else np.arange(count) % 7
    columns = (points * 2, labels if with_labels else None)
    for choice in ({}, {"return_index": True}, {"return_index": True, "return_inverse": True}):
        for maps_only in (False, True):
            ours, theirs = (
                engine.sparse_quantize(points, *columns, return_maps_only=maps_only, quantization_size=size, **choice)
                for engine in (native_engine, minkowski)
            )
            ours, theirs = (each if isinstance(each, tuple) else (each,) for each in (ours, theirs))
            assert [type(each) for each in ours] == [type(each) for each in theirs]
            assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(ours, theirs, strict=True))


def test_coordinates_alone_come_without_a_tuple(engine: ModuleType) -> None:
    assert engine.sparse_quantize(np.array([[1.5, -0.5], [1.2, -0.9], [0.0, 0.0]])).tolist() == [[1, -1], [0, 0]]
    assert engine.sparse_quantize(torch.zeros(0, 3)).shape == (0, 3)


def test_rows_whose_box_exceeds_64_bits_stay_apart(native: ModuleType) -> None:
    limit = 2**31 - 1
    corners = torch.tensor(
        [[x, y, z, b] for x in (-limit, limit) for y in (-limit, limit) for z in (-1, limit) for b in (0, limit)]
    )
    voxels, unique, inverse = native.sparse_quantize(corners.repeat(2, 1), return_index=True, return_inverse=True)
    assert torch.equal(voxels.long(), corners)
    assert unique.tolist() == list(range(16)) and inverse.tolist() == [*range(16), *range(16)]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4), _TYPES, st.sampled_from([torch.int32, torch.float32]))
def test_batches_equal_minkowski_engine(
    minkowski: ModuleType, counts: list[int], kind: Any, dtype: torch.dtype
) -> None:
    scenes = [_points(seed, count, 9.0, kind) for seed, count in enumerate(counts)]
    features = [2 * scene for scene in scenes]
    labels = [[seed] * count for seed, count in enumerate(counts)]
    arrays = [np.array(each, dtype=np.int64) for each in labels]
    ours, theirs = (
        [
            engine.batched_coordinates(scenes, dtype=dtype),
            *engine.sparse_collate(scenes, features, dtype=dtype),
            *engine.sparse_collate(scenes, features, arrays, dtype=dtype, device="cpu"),
        ]
        for engine in (native_engine, minkowski)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
    assert native_engine.sparse_collate(scenes, features, labels)[2] == labels
    assert minkowski.sparse_collate(scenes, features, labels)[2] == labels


def test_quantized_batches_make_sparse_tensors(engine: ModuleType, rng: np.random.Generator) -> None:
    scenes = [rng.uniform(-4, 4, (80, 3)) for _ in range(3)]
    coordinates, features = engine.sparse_collate(
        *zip(*[engine.sparse_quantize(scene, scene.astype(np.float32)) for scene in scenes], strict=True)
    )
    x = engine.SparseTensor(features, coordinates=coordinates)
    assert torch.equal(torch.floor(x.F).int(), x.C[:, 1:])
    assert x.C[:, 0].unique().tolist() == [0, 1, 2]


def test_arguments_that_do_not_fit_are_named(engine: ModuleType) -> None:
    points = np.zeros((4, 3))
    for arguments, message in (
        ({"coordinates": np.zeros(4)}, r"coordinates: expected shape \(N, D\), found \(4,\)"),
        ({"features": np.zeros((3, 2))}, r"features: expected shape \(4, C\), found \(3, 2\)"),
        ({"labels": np.zeros(5)}, "labels: expected 4, one per point, found 5"),
        ({"return_inverse": True}, "expected return_index as well"),
        ({"quantization_size": [1.0, 2.0]}, "a positive number, or 3 of them"),
        ({"quantization_size": -1}, "a positive number, or 3 of them, found -1"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.sparse_quantize(**{"coordinates": points, **arguments})
    with pytest.raises(ValueError, match="expected one or more arrays"):
        engine.batched_coordinates([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(ValueError, match="expected type torch.int32 or torch.float32, found torch.int64"):
        engine.batched_coordinates([points], dtype=torch.int64)
    with pytest.raises(ValueError, match=r"expected one row per coordinate, \[4\] by scene, found \[3\]"):
        engine.sparse_collate([points], [np.zeros((3, 1))])


def test_coordinates_without_a_voxel_are_counted(native: ModuleType) -> None:
    with pytest.raises(ValueError, match="expected finite numbers of 32 bits, found 2 others"):
        native.sparse_quantize(np.array([[np.nan, 0, 0], [0, 3e9, 0], [0, 0, 0]]))


def test_both_engines_have_the_same_names(minkowski: ModuleType) -> None:
    assert sorted(native_engine.__all__) == sorted(minkowski.__all__)
    for engine in (native_engine, minkowski):
        assert all(hasattr(engine, name) for name in engine.__all__)
