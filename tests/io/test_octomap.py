"""OctoMap's files: every occupied cell, none else, wherever and however merged; one sentence for what is damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.octomap import read_octomap
from sparse_convonet.io.points import read_points
from tests.oracles.octomap_files import binary_file, full_file, header, tree_of_cells

HALF = 1 << 15
Cells = set[tuple[int, int, int]]


def cells_around(rng: np.random.Generator) -> tuple[Cells, Cells]:
    """Occupied and free ones around the origin, some of them whole cubes of 2 and of 4 cells."""
    index = rng.integers(-9, 9, (300, 3)) + HALF
    occupied = {tuple(row) for row in index[:150].tolist()}
    for low, side in ((HALF + 16, 4), (HALF - 32, 2)):
        occupied |= {(low + x, low + y, low + z) for x in range(side) for y in range(side) for z in range(side)}
    return occupied, {tuple(row) for row in index[150:].tolist()} - occupied  # type: ignore[return-value]


@pytest.mark.parametrize("form", ["bt", "ot", "colour"])
def test_all_occupied_cells_are_read(form: str, tmp_path: Path, rng: np.random.Generator) -> None:
    occupied, free = cells_around(rng)
    tree = tree_of_cells(occupied, free)
    content = binary_file(tree, 0.05) if form == "bt" else full_file(tree, 0.05, form == "colour")
    path = tmp_path / "map.bt"
    path.write_bytes(content)
    found = read_octomap(path)
    assert found.size == 0.05 and found.shape is None and found.origin == (0, 0, 0)
    expected = np.array(sorted(occupied)) - HALF
    assert np.array_equal(found.index[np.lexsort(found.index.T[::-1])], expected)
    assert found.centres().min(axis=0) == pytest.approx((expected.min(axis=0) + 0.5) * 0.05)


def test_a_map_that_is_one_leaf_is_as_large_as_the_tree_and_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ot").write_bytes(header("", 1.0, 0.1) + struct.pack("<fB", 1.0, 0))
    with pytest.raises(ValueError, match="expected 1 to 67108864 occupied cells, found 281474976710656"):
        read_octomap(tmp_path / "a.ot")


TREE = tree_of_cells({(HALF, HALF, HALF), (HALF + 1, HALF, HALF + 3)}, {(HALF + 9, HALF, HALF)})
WHOLE, FULL = binary_file(TREE, 0.1), full_file(TREE, 0.1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"rubbish", "expected an OctoMap file (.bt or .ot), found another beginning"),
        (WHOLE[:-1], "found fewer bytes"),
        (WHOLE + b"\0", "and nothing more"),
        (WHOLE.replace(b"res 0.1", b"res nan"), "incomplete header"),
        (WHOLE.replace(b"size ", b"size 9"), "nodes and nothing more"),
        (WHOLE.replace(b"id OcTree", b"id SpaceTree"), "OcTree or ColorOcTree, found SpaceTree"),
        (header("binary ", None, 0.1, nodes=18) + b"\3\0" * 17, "found more than 16 levels"),
        (FULL[:-3], "found fewer bytes"),
        (FULL.replace(struct.pack("<f", -2.0), struct.pack("<f", float("nan"))), "odds that are no number"),
        (header("", None, 0.1), "expected 1 to 67108864 occupied cells, found 0"),
        (header("", None, 0.1, nodes=18) + struct.pack("<fB", 1.0, 1) * 18, "found more than 16 levels"),
        (WHOLE[:60], "incomplete header"),
        (WHOLE.replace(b"size ", b"size 99999999999999999999"), "incomplete header"),
    ],
)
def test_damage_is_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "map.bt").write_bytes(content)
    with pytest.raises(ValueError, match="map.bt") as refused:
        read_octomap(tmp_path / "map.bt")
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_a_map_of_cells_gives_a_point_in_each_the_same_at_every_reading(tmp_path: Path) -> None:
    cells = {(32768 + x, 32770, 32768 + z) for x in range(9) for z in range(7)}
    path = tmp_path / "map.bt"
    path.write_bytes(binary_file(tree_of_cells(cells), 0.25))
    cloud = read_points(path, seed=3)
    index = np.floor(cloud.points / 0.25).astype(int) + 32768
    assert {(x, y, z) for x, y, z in index.tolist()} == cells and len(cloud) == len(cells)
    assert np.ptp(cloud.points[:, 1]) > 0.15  # anywhere in the cell, as the map says no more
    parts = np.concatenate([chunk.points for chunk in read_chunks(path, chunk_points=10, seed=3)])
    assert np.array_equal(parts, cloud.points)
    assert not np.array_equal(read_points(path, seed=4).points, cloud.points)
