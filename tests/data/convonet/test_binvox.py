"""Voxels of a model: as binvox, trimesh and the papers' code have them, and refused where the file is wrong."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.data.convonet.binvox import Voxels, read_binvox, write_binvox
from tests.io.made_archives import refusal

HEADER = b"#binvox 1\ndim 2 2 2\ntranslate -0.5 0 0.25\nscale 7.5\ndata\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.binvox"


def random_voxels(shape: tuple[int, int, int], share: float = 0.3) -> np.ndarray:
    return np.random.default_rng(0).random(shape) < share


def test_the_bytes_are_those_of_the_format(path: Path) -> None:
    occupied = np.zeros((2, 2, 2), dtype=bool)
    occupied[0, 1, 0] = occupied[1, 0, 1] = True  # y runs fastest, then z, then x: places 1 and 6
    write_binvox(path, Voxels(occupied, (-0.5, 0.0, 0.25), 7.5))
    content = b"#binvox 1\ndim 2 2 2\ntranslate -0.5 0.0 0.25\nscale 7.5\ndata\n" + bytes(
        [0, 1, 1, 1, 0, 4, 1, 1, 0, 1]
    )
    assert path.read_bytes() == content
    found = read_binvox(path)
    assert np.array_equal(found.occupied, occupied) and found.occupied.dtype == bool
    assert found.translate == (-0.5, 0.0, 0.25) and found.scale == 7.5


@pytest.mark.parametrize("shape", [(32, 32, 32), (1, 1, 1), (3, 5, 7), (1, 700, 1), (60, 60, 60)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_voxels_come_back_and_trimesh_reads_the_same(path: Path, shape: tuple[int, int, int], share: float) -> None:
    occupied = random_voxels(shape, share)
    write_binvox(path, Voxels(occupied, (0.1, 0.2, 0.3), 1.7))
    found = read_binvox(path)
    assert np.array_equal(found.occupied, occupied) and found.occupied.flags.c_contiguous
    if len(set(shape)) == 1 and shape[0] > 1:  # others trimesh does not read
        other = trimesh.exchange.binvox.load_binvox(io.BytesIO(path.read_bytes()))
        assert np.array_equal(other.matrix, occupied)


@given(runs=st.lists(st.tuples(st.booleans(), st.integers(1, 600)), min_size=1, max_size=8))
def test_runs_of_any_length_come_back_in_as_few_pairs_as_can_be(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[bool, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "runs.binvox"
    flat = np.repeat([value for value, _ in runs], [length for _, length in runs])
    write_binvox(path, Voxels(flat.reshape(1, 1, -1)))
    assert np.array_equal(read_binvox(path).occupied.reshape(-1), flat)
    pairs = np.frombuffer(path.read_bytes().split(b"data\n", 1)[1], dtype=np.uint8).reshape(-1, 2)
    same = pairs[1:, 0] == pairs[:-1, 0]
    assert (pairs[:, 1] > 0).all() and (pairs[:-1, 1][same] == 255).all()


def test_the_middles_of_voxels_lie_where_the_format_puts_them() -> None:
    occupied = np.zeros((4, 4, 4), dtype=bool)
    occupied[0, 3, 1] = True
    centres = Voxels(occupied, (10.0, 20.0, 30.0), 8.0).centres()
    assert np.array_equal(centres, [[11.0, 27.0, 33.0]])
    assert Voxels(~occupied | occupied, scale=1.0).centres().mean(axis=0).tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("content", "inside"),
    [
        (HEADER + bytes([1, 4, 0, 4]), 4),
        (HEADER + bytes([1, 4, 1, 0, 0, 4]), 4),  # the papers' writer leaves runs of no length after runs of 255
        (HEADER.replace(b"#binvox 1", b"#binvox 2") + bytes([7, 4, 0, 4]), 4),
        (b"#binvox 1\r\ndim 2 2 2\r\ncomment dim 9\r\n\r\ndata\r\n" + bytes([1, 8]), 8),
        (b"#binvox 1\nscale 1\ndim 2 2 2 \ntype voxel\ndata\n" + bytes([0, 8]), 0),
    ],
)
def test_what_other_programs_write_is_read(path: Path, content: bytes, inside: int) -> None:
    path.write_bytes(content)
    found = read_binvox(path)
    assert found.occupied.shape == (2, 2, 2) and found.occupied.sum() == inside


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a binvox file of version 1 or 2, found another beginning"),
        (b"#binvox 3\n", "expected a binvox file of version 1 or 2"),
        (b"ply\n" * 99, "expected a binvox file of version 1 or 2"),
        (b"#binvox 1\ndata\n", "expected lines with dim and data before the voxels, found an incomplete header"),
        (b"#binvox 1\ndim 2 2 2\n", "an incomplete header"),
        (b"#binvox 1\ndim 2 2 2\n" + b"\n" * 1000, "an incomplete header"),
        (b"#binvox 1\ndim 2 2 2\n" + b"x" * 1000 + b"\ndata\n", "an incomplete header"),
        (HEADER.replace(b"2 2 2", b"2 2"), "expected 3 numbers after dim, found something else"),
        (HEADER.replace(b"2 2 2", b"2 2 a"), "expected 3 numbers after dim"),
        (HEADER.replace(b"2 2 2", b"2 2 inf"), "expected 3 numbers after dim"),
        (HEADER.replace(b"2 2 2", b"2 2 0"), "expected three positive whole numbers after dim, found 2 2 0"),
        (HEADER.replace(b"2 2 2", b"-2 -2 2"), "expected three positive whole numbers after dim, found -2 -2 2"),
        (HEADER.replace(b"2 2 2", b"2 2.5 2"), "expected three positive whole numbers after dim, found 2 2.5 2"),
        (HEADER.replace(b"2 2 2", b"9e9 9e9 9e9"), "expected at most 1073741824 voxels, found 9e+09 x 9e+09"),
        (HEADER.replace(b"7.5", b"0"), "expected a positive number after scale, found 0"),
        (HEADER.replace(b"7.5", b"nan"), "expected 1 numbers after scale"),
        (HEADER.replace(b"-0.5 0 0.25", b"0"), "expected 3 numbers after translate"),
        (HEADER, "expected runs of 8 voxels in all, found 0"),
        (HEADER + bytes([1, 4, 0]), "expected pairs of a value and a length, found 3 bytes"),
        (HEADER + bytes([1, 4, 0, 3]), "expected runs of 8 voxels in all, found 7"),
        (HEADER + bytes([1, 4, 0, 5]), "expected runs of 8 voxels in all, found 9"),
    ],
)
def test_wrong_files_are_refused_with_the_cause(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    assert message in refusal(read_binvox, path)


def test_a_size_that_is_only_declared_takes_no_memory(path: Path) -> None:
    path.write_bytes(HEADER.replace(b"2 2 2", b"1024 1024 1024") + bytes([1, 255] * 50))
    tracemalloc.start()
    assert "expected runs of 1073741824 voxels in all, found 12750" in refusal(read_binvox, path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_file_cut_off_anywhere_is_refused(path: Path) -> None:
    write_binvox(path, Voxels(random_voxels((8, 8, 8))))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        refusal(read_binvox, path)


@given(place=st.integers(0, 10_000), difference=st.integers(1, 255))
def test_a_changed_byte_gives_voxels_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, place: int, difference: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.binvox"
    write_binvox(path, Voxels(random_voxels((8, 8, 8))))
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= difference
    path.write_bytes(content)
    try:
        assert read_binvox(path).occupied.ndim == 3
    except ValueError:
        refusal(read_binvox, path)


def test_missing_files_and_folders_are_those_of_the_system(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_binvox(path)
    with pytest.raises(IsADirectoryError):
        read_binvox(path.parent)


@pytest.mark.parametrize(
    "voxels",
    [
        Voxels(np.zeros((2, 2), dtype=bool)),
        Voxels(np.zeros((0, 2, 2), dtype=bool)),
        Voxels(np.zeros((2, 2, 2), dtype=bool), scale=0.0),
        Voxels(np.zeros((2, 2, 2), dtype=bool), (0.0, np.nan, 0.0)),
    ],
)
def test_what_could_not_be_read_back_is_not_written(path: Path, voxels: Voxels) -> None:
    with pytest.raises(ValueError, match="model.binvox: expected .*, found "):
        write_binvox(path, voxels)
    assert not path.exists()
