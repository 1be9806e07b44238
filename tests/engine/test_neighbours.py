"""Neighbour tables and dilations against dictionaries and sets."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.engine import neighbours
from sparse_convonet.engine.compiled_loops import without_compiled_loops
from sparse_convonet.engine.neighbours import KernelOffsets, dilate, neighbour_table

_voxel = st.tuples(st.integers(0, 1), *[st.integers(-4, 3)] * 3)
_offsets = st.builds(KernelOffsets, st.sampled_from([1, 2, 3, 4]), st.sampled_from([1, 2]), st.sampled_from([1, -1]))


def _keys(voxels: set[tuple[int, ...]]) -> torch.Tensor:
    return pack_keys(torch.tensor(sorted(voxels), dtype=torch.int64).reshape(-1, 4))


def _offset_list(offsets: KernelOffsets) -> list[tuple[int, int, int]]:
    low = -(offsets.size // 2) if offsets.size % 2 else 0
    axis = [offsets.sign * offsets.step * (low + i) for i in range(offsets.size)]
    return [(dx, dy, dz) for dz in axis for dy in axis for dx in axis]


@pytest.mark.parametrize("numba", [True, False])
@given(queries=st.sets(_voxel, max_size=60), present=st.sets(_voxel, max_size=60), offsets=_offsets)
def test_table_equals_a_dictionary(
    numba: bool, queries: set[tuple[int, ...]], present: set[tuple[int, ...]], offsets: KernelOffsets
) -> None:
    row_of = {voxel: row for row, voxel in enumerate(sorted(present))}
    expected = [
        [row_of.get((b, x + dx, y + dy, z + dz), -1) for dx, dy, dz in _offset_list(offsets)]
        for b, x, y, z in sorted(queries)
    ]
    with contextlib.nullcontext() if numba else without_compiled_loops():
        table = neighbour_table(_keys(queries), _keys(present), offsets)
    assert table.dtype == torch.int32
    assert table.shape == (len(queries), offsets.volume)
    assert table.tolist() == expected


@pytest.mark.parametrize("numba", [True, False])
@given(voxels=st.sets(_voxel, max_size=60), offsets=_offsets)
def test_dilation_equals_a_set(numba: bool, voxels: set[tuple[int, ...]], offsets: KernelOffsets) -> None:
    expected = {(b, x + i, y + j, z + k) for b, x, y, z in voxels for i, j, k in _offset_list(offsets)}
    with contextlib.nullcontext() if numba else without_compiled_loops():
        keys = dilate(_keys(voxels), offsets)
    assert list(map(tuple, unpack_keys(keys).tolist())) == sorted(expected)


def test_tables_of_many_blocks_and_parts_equal_a_search() -> None:
    generator = torch.Generator().manual_seed(0)
    voxels = torch.randint(-20, 20, (60000, 4), generator=generator)
    voxels[:, 0] = voxels[:, 0] % 3
    keys = torch.unique(pack_keys(voxels))
    offsets = KernelOffsets(3, 1)
    searched = neighbours._table_by_search(keys, keys, torch.from_numpy(offsets.shifts()))
    assert len(keys) > 2 * neighbours._ROWS_PER_PART
    assert torch.equal(neighbour_table(keys, keys, offsets), searched)


def test_symmetric_table_is_its_own_inverse_with_offsets_reversed() -> None:
    keys = torch.unique(pack_keys(torch.randint(0, 2, (40, 4), generator=torch.Generator().manual_seed(0))))
    table = neighbour_table(keys, keys, KernelOffsets(3, 1))
    mirrored = neighbour_table(keys, keys, KernelOffsets(3, 1, -1))
    assert torch.equal(table.flip(1), mirrored)
    assert torch.equal(table[:, 13], torch.arange(len(keys), dtype=torch.int32))
