from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.coordinates import AXIS_LIMIT
from sparse_convonet.extract import lattice
from sparse_convonet.extract.lattice import (
    BlockIndex,
    Domain,
    LatticeLevel,
    axis_shift,
    pack_lattice,
    padded_rows,
    unpack_lattice,
)

Cell = tuple[int, ...]
CELLS = st.lists(st.tuples(*[st.integers(-20, 20)] * 3), max_size=40, unique=True)
BLOCKS = st.lists(st.tuples(*[st.integers(-3, 2)] * 3), min_size=1, max_size=30, unique=True)


def _array(cells: Sequence[Cell]) -> np.ndarray:
    return np.array(cells, dtype=np.int64).reshape(-1, 3)


def _bits(rows: np.ndarray, keys: np.ndarray) -> set[Cell]:
    """The cells of a mask (B, 8, 8) over the blocks of the given keys."""
    block, x, y, z = np.nonzero(np.unpackbits(rows[: len(keys), :, :, None], axis=3, bitorder="little"))
    return {tuple(map(int, cell)) for cell in unpack_lattice(keys)[block] * 8 + np.stack([x, y, z], axis=1)}


def _level(blocks: Sequence[Cell], domain: Domain | None = None, shift: int = 0, domain_shift: int = 3) -> LatticeLevel:
    level = LatticeLevel(shift, domain or Domain.of_cells(_array([(0, 0, 0)])), domain_shift)
    level.add(pack_lattice(_array(blocks)))
    return level


def test_packing_is_inverted_and_ordered_by_x_then_y_then_z(rng: np.random.Generator) -> None:
    points = np.concatenate([rng.integers(-AXIS_LIMIT, AXIS_LIMIT, (500, 3)), rng.integers(-2, 2, (100, 3))])
    keys = pack_lattice(points)
    np.testing.assert_array_equal(unpack_lattice(keys), points)
    np.testing.assert_array_equal(np.sort(keys), keys[np.lexsort(points.T[::-1])])


def test_axis_shift_moves_along_its_axis() -> None:
    key = pack_lattice(np.array([[-1, 5, 0]]))
    for axis in range(3):
        moved = unpack_lattice(key + axis_shift(axis, -3))[0]
        np.testing.assert_array_equal(moved, np.array([-1, 5, 0]) - 3 * np.eye(3, dtype=np.int64)[axis])


def test_index_numbers_blocks_in_order_over_many_insertions(rng: np.random.Generator) -> None:
    blocks = np.unique(rng.integers(-40, 40, (5000, 3)), axis=0)
    keys = rng.permutation(pack_lattice(blocks))
    index = BlockIndex()
    for chunk in np.split(keys, [2000, 2001, 2001, 2100, 3000]):
        index.add(chunk)
    np.testing.assert_array_equal(index.keys, keys)
    # Each block's lowest cell is found in the row of its number, and nowhere else.
    rows, complete = index.mark((unpack_lattice(keys[:777]) * 8).astype(np.int32))
    assert complete
    np.testing.assert_array_equal(np.flatnonzero(rows.any(axis=(1, 2))), np.arange(777))
    assert rows.sum() == 777
    assert not index.mark(np.array([[900, 0, 0]], dtype=np.int32))[1]


@given(cells=CELLS, blocks=BLOCKS, shift=st.integers(0, 4), few=st.sampled_from([1, 1 << 10]))
def test_marked_cells_are_those_that_hold_the_given_ones(
    cells: list[Cell], blocks: list[Cell], shift: int, few: int
) -> None:
    index = BlockIndex()
    index.add(pack_lattice(_array(blocks)))
    with mock.patch.object(lattice, "_FEW", few):
        rows, complete = index.mark(_array(cells).astype(np.int32), shift)
    coarse = {tuple(value >> shift for value in cell) for cell in cells}
    held = {cell for cell in coarse if tuple(value >> 3 for value in cell) in set(blocks)}
    assert _bits(rows, index.keys) == held
    assert complete == (held == coarse)


@given(blocks=BLOCKS, split=st.integers(0, 30))
def test_neighbours_are_linked_both_ways_whatever_the_order_of_arrival(blocks: list[Cell], split: int) -> None:
    level = LatticeLevel(0, Domain.of_cells(_array([(0, 0, 0)])), 3)
    level.add(pack_lattice(_array(blocks[:split])))
    level.add(pack_lattice(_array(blocks[split:])))
    number = {block: place for place, block in enumerate(blocks)}
    for place, (x, y, z) in enumerate(blocks):
        expected = [number.get((x + (c & 1), y + (c >> 1 & 1), z + (c >> 2)), -1) for c in range(8)]
        expected += [number.get(low, -1) for low in ((x - 1, y, z), (x, y - 1, z), (x, y, z - 1))]
        assert level.neighbours[place].tolist() == expected


@given(
    domain=st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=60, unique=True),
    block=st.tuples(*[st.integers(-3, 2)] * 3),
    shift=st.integers(0, 4),
)
def test_masks_of_the_domain_equal_a_test_of_each_cell(domain: list[Cell], block: Cell, shift: int) -> None:
    level = _level([block], Domain.of_cells(_array(domain)), shift=2, domain_shift=2 + shift)
    low = np.array(block) * 8
    domain_cells = set(domain)

    def holds(cell: np.ndarray) -> bool:
        return tuple(int(value) >> shift for value in cell) in domain_cells

    corners = [np.array(corner) for corner in product((0, 1), repeat=3)]
    cells = [low + local for local in product(range(8), repeat=3)]
    within = {tuple(map(int, cell)) for cell in cells if holds(cell)}
    interior = {tuple(map(int, cell)) for cell in cells if all(holds(cell - corner) for corner in corners)}
    assert _bits(level.within, level.index.keys) == within
    assert _bits(level.interior, level.index.keys) == interior


@given(seed=st.integers(0, 1000), coarse_shift=st.integers(1, 5), with_level_between=st.booleans())
def test_a_new_block_knows_what_coarser_levels_know(seed: int, coarse_shift: int, with_level_between: bool) -> None:
    rng = np.random.default_rng(seed)
    domain = Domain.of_cells(_array([(0, 0, 0)]))
    coarsest = LatticeLevel(coarse_shift, domain, 6)
    coarsest.add(pack_lattice(_array(list(product((-1, 0), repeat=3)))))
    coarsest.known[:8] = rng.integers(0, 256, (8, 8, 8))
    coarsest.inside[:8] = rng.integers(0, 256, (8, 8, 8)) & coarsest.known[:8]
    coarsest.logits[:8] = rng.normal(size=(8, 8, 8, 8))
    parent = coarsest
    if with_level_between and coarse_shift > 1:
        parent = LatticeLevel(1, domain, 6, coarser=coarsest)
        parent.add(pack_lattice(_array([(0, 0, 0), (-1, 0, 0)])))
    fine = LatticeLevel(0, domain, 6, coarser=parent)
    blocks = [(0, 0, 0), (-1, 0, 0), (1, 1, 1), (-2, 1, 0), (0, -1, -4), (-1, -1, -1), (99, 0, 0)]
    fine.add(pack_lattice(_array(blocks)))
    scale = 1 << coarse_shift

    def finer(points: set[Cell]) -> set[Cell]:
        scaled = {(x * scale, y * scale, z * scale) for x, y, z in points}
        return {point for point in scaled if tuple(value >> 3 for value in point) in set(blocks)}

    known = _bits(fine.known, fine.index.keys)
    assert known == finer(_bits(coarsest.known, coarsest.index.keys))
    assert _bits(fine.inside, fine.index.keys) == finer(_bits(coarsest.inside, coarsest.index.keys))
    coarse_number = {key: place for place, key in enumerate(coarsest.index.keys.tolist())}
    for x, y, z in known:
        there = (x // scale, y // scale, z // scale)
        block = coarse_number[int(pack_lattice(_array([there]) >> 3)[0])]
        expected = coarsest.logits[block, there[0] & 7, there[1] & 7, there[2] & 7]
        assert fine.logits[blocks.index((x >> 3, y >> 3, z >> 3)), x & 7, y & 7, z & 7] == expected


@given(cells=CELLS)
def test_halves_are_the_eight_children_of_every_cell(cells: list[Cell]) -> None:
    blocks = sorted({tuple(value >> 3 for value in cell) for cell in cells} | {(0, 0, 0)})
    level = _level(blocks)
    keys, rows = level.halves(level.index.mark(_array(cells).astype(np.int32))[0])
    expected = {(2 * x + a, 2 * y + b, 2 * z + c) for x, y, z in cells for a, b, c in product((0, 1), repeat=3)}
    assert _bits(rows, keys) == expected
    assert len(np.unique(keys)) == len(keys)
    assert rows.any(axis=(1, 2)).all()


@given(blocks=BLOCKS, seed=st.integers(0, 1000), few=st.sampled_from([1, 1 << 10]))
def test_padded_rows_hold_the_corners_of_all_cells(blocks: list[Cell], seed: int, few: int) -> None:
    rng = np.random.default_rng(seed)
    level = _level(blocks)
    level.inside[: len(blocks)] = rng.integers(0, 256, (len(blocks), 8, 8))
    inside = _bits(level.inside, level.index.keys)
    asked = rng.permutation(len(blocks))[:5]
    with mock.patch.object(lattice, "_FEW", few):
        padded = padded_rows(level, asked)
    for place, (bx, by, bz) in enumerate(np.array(blocks)[asked]):
        for x, y in product(range(9), repeat=2):
            row = sum(1 << z for z in range(9) if (8 * bx + x, 8 * by + y, 8 * bz + z) in inside)
            assert padded[place, x, y] == row


@pytest.mark.parametrize("count", [0, 1, 100])
def test_growing_keeps_what_was_known(count: int, rng: np.random.Generator) -> None:
    axis = np.arange(-20, 20)
    blocks = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    keys = rng.permutation(pack_lattice(blocks))
    level = LatticeLevel(0, Domain.of_cells(_array([(0, 0, 0)])), 3)
    level.add(keys[:count])
    level.known[:count] = rng.integers(0, 256, (count, 8, 8))
    level.logits[:count] = rng.normal(size=(count, 8, 8, 8))
    known, logits = level.known[:count].copy(), level.logits[:count].copy()
    level.add(keys[count:])
    np.testing.assert_array_equal(level.known[:count], known)
    np.testing.assert_array_equal(level.logits[:count], logits)
    assert not level.known[count : len(level.index)].any()
