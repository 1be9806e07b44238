"""Arrays come back exactly; nothing in a file makes the reader run code, take memory, or raise but one sentence."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sparse_convonet.io.array_archive import MAX_ARRAY_BYTES, ArrayArchive
from tests.io.made_archives import header_of, npy, npy_of, patch, refusal, write_archive

POINTS = np.arange(30, dtype=np.float32).reshape(10, 3)
FLOATS = header_of("'<f4'", "(10, 3)")


def read_points(path: Path) -> np.ndarray:
    with ArrayArchive(path) as archive:
        return archive.read("points", "f", (2,))


def peak_bytes_of_refusal(path: Path) -> int:
    tracemalloc.start()
    try:
        refusal(read_points, path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.npz"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "|u1", ">i8", "<u4", "|b1"])
def test_any_layout_of_an_array_is_read_exactly_into_native_numbers(
    path: Path, dtype: str, order: str, version: tuple[int, int], method: int
) -> None:
    array = np.array(np.arange(12).reshape(4, 3) * 7 % 5, dtype=dtype, order="F" if order == "F" else "C")
    write_archive(path, {"points.npy": npy_of(array, version)}, method)
    with ArrayArchive(path) as archive:
        found = archive.read("points", "fiub", (2,))
    assert found.dtype.isnative and found.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(found, array)
    assert np.array_equal(np.load(path)["points"], array)  # so the archive made by hand is one that numpy knows


@given(
    arrays.arrays(
        dtype=st.one_of(arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes()),
        shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
def test_whatever_numpy_saves_is_read_exactly(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npz"
    np.savez_compressed(path, points=array)
    with ArrayArchive(path) as archive:
        found = archive.read("points", "fiub", (0, 1, 2, 3, 4))
    assert found.shape == array.shape and np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


def test_an_array_can_be_read_beside_others_that_cannot(path: Path) -> None:
    np.savez(path, points=POINTS, other=np.array([{}], dtype=object))
    with ArrayArchive(path) as archive:
        assert archive.names == ("points", "other") and "points" in archive and "normals" not in archive
        assert np.array_equal(archive.read("points", "f", (2,)), POINTS)
        with pytest.raises(ValueError, match="expected plain numbers in 'other', found pickled objects"):
            archive.read("other", "f", (1,))
        assert np.array_equal(archive.read("points", "f", (2,)), POINTS)


class _Harmful:
    """A pickle that would run code when loaded."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harm_was_done"),))


def test_pickles_are_refused_and_not_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    harmful, content = np.array([[_Harmful()] * 3], dtype=object), pickle.dumps(_Harmful())
    np.savez(path, points=harmful)
    assert "plain numbers in 'points', found pickled objects" in refusal(read_points, path)
    hidden = np.array([(1.0, _Harmful())], dtype=[("x", "f4"), ("y", "O")])
    np.savez(path, points=hidden)
    assert "found pickled objects" in refusal(read_points, path)
    for descr in ("'|O'", "('|O', (3,))", "[('x', '<f4'), ('y', [('z', '|O')])]"):
        write_archive(path, {"points.npy": npy(header_of(descr, "(1, 3)"), content)})
        assert "found pickled objects" in refusal(read_points, path)
    for lying in (npy(FLOATS, content), content):  # a pickle under a header of numbers, or in place of the array
        write_archive(path, {"points.npy": lying})
        refusal(read_points, path)
    assert not Path("harm_was_done").exists()


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 3), dtype=np.int32), "int32 of shape (4, 3)"),
        (np.zeros((4, 3), dtype=complex), "complex128 of shape (4, 3)"),
        (np.zeros(12), "float64 of shape (12,)"),
        (np.array([["a", "b", "c"]]), "<U1 of shape (1, 3)"),
        (np.zeros((4, 3), dtype="datetime64[s]"), "datetime64[s] of shape (4, 3)"),
        (np.zeros(4, dtype=[("x", "f4")]), "[('x', '<f4')] of shape (4,)"),
    ],
)
def test_other_kinds_and_shapes_are_refused_by_name(path: Path, array: np.ndarray, found: str) -> None:
    np.savez(path, points=array)
    assert f"expected 'points' as floats with 2 axes, found {found};" in refusal(read_points, path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_off_anywhere_is_refused(path: Path, save) -> None:
    save(path, points=np.random.default_rng(0).random((50, 3)), normals=np.ones((50, 3)))
    content = path.read_bytes()
    for twentieth in range(20):
        path.write_bytes(content[: len(content) * twentieth // 20])
        refusal(read_points, path)
    path.write_bytes(content[:-1])
    refusal(read_points, path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@given(changes=st.dictionaries(st.integers(0, 10_000), st.integers(1, 255), min_size=1, max_size=3))
def test_changed_bytes_give_the_same_array_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, save, changes: dict[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    save(path, points=POINTS)
    content = bytearray(path.read_bytes())
    for place, difference in changes.items():
        content[place % len(content)] ^= difference
    path.write_bytes(content)
    try:
        found = read_points(path)
    except ValueError:
        refusal(read_points, path)
    else:
        assert np.array_equal(found, POINTS)


def test_every_changed_byte_of_the_directory_and_the_header_is_harmless(path: Path) -> None:
    np.savez(path, points=POINTS)
    whole = path.read_bytes()
    for place in (*range(128), *range(whole.index(b"PK\x01\x02"), len(whole))):
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        try:
            assert np.array_equal(read_points(path), POINTS)
        except ValueError:
            refusal(read_points, path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_size_that_is_only_declared_is_refused_before_memory_is_taken(path: Path, method: int) -> None:
    huge = npy(header_of("'<f4'", "(1000000000, 3)"), bytes(120))
    write_archive(path, {"points.npy": huge}, method)
    assert "expected 12000000128 bytes in 'points', as its header says, found 248;" in refusal(read_points, path)
    assert peak_bytes_of_refusal(path) < 1 << 20
    for size in (MAX_ARRAY_BYTES, MAX_ARRAY_BYTES + 1, 0xFFFFFFFE):
        write_archive(path, {"points.npy": huge}, method)
        assert peak_bytes_of_refusal(patch(path, size=size)) < 1 << 20
        assert peak_bytes_of_refusal(patch(path, size=size, compressed=size)) < 1 << 20


def test_the_limit_is_on_what_a_file_unpacks_to_not_on_what_it_takes(path: Path) -> None:
    rows = (64 << 20) // 12 + 1
    zeros = npy(header_of("'<f4'", f"({rows}, 3)"), bytes(12 * rows))
    write_archive(path, {"points.npy": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "compressed to no less than a 100th" in refusal(read_points, path)
    assert peak_bytes_of_refusal(path) < 1 << 20
    # Declared as ten points that are followed by megabytes.
    honest = npy(FLOATS, POINTS.tobytes())
    write_archive(path, {"points.npy": honest + bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    patch(path, size=len(honest), crc=zlib.crc32(honest))
    tracemalloc.start()
    assert np.array_equal(read_points(path), POINTS)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressions_that_unpack_without_a_limit_are_refused_before_unpacking(path: Path, method: int) -> None:
    write_archive(path, {"points.npy": npy(FLOATS, bytes(16 << 20))}, method)
    assert f"'points' stored or deflated, found compression method {method};" in refusal(read_points, path)
    assert peak_bytes_of_refusal(path) < 1 << 20


def test_encrypted_and_unknown_members_are_refused(path: Path) -> None:
    for values, message in (
        ({"flags": 0x1}, "'points' without a password, found an encrypted array"),
        ({"flags": 0x40}, "an intact array 'points', found damaged"),
        ({"flags": 0x20}, "an intact array 'points', found damaged"),
        ({"method": 99}, "'points' stored or deflated, found compression method 99"),
        ({"crc": 0}, "an intact array 'points', found damaged"),
    ):
        np.savez(path, points=POINTS)
        assert message in refusal(read_points, patch(path, **values))


@pytest.mark.parametrize("length", [100, 247, 128, 20, 0])
def test_less_data_than_declared_is_refused_though_its_checksum_is_right(path: Path, length: int) -> None:
    content = npy(FLOATS, POINTS.tobytes())
    write_archive(path, {"points.npy": content[:length]})
    refusal(read_points, patch(path, size=len(content)))
    refusal(read_points, patch(path, size=len(content), compressed=len(content)))
    write_archive(path, {"points.npy": content[:length]}, zipfile.ZIP_DEFLATED)
    refusal(read_points, patch(path, size=len(content)))


HEADERS = {
    "negative": header_of("'<f4'", "(-10, -3)"),
    "unknown length": header_of("'<f4'", "(-1, 3)"),
    "bool": header_of("'<f4'", "(True, 3)"),
    "digits": header_of("'<f4'", f"({'9' * 3000}, {'9' * 3000})"),
    "more digits": header_of("'<f4'", f"({'9' * 5000}, 3)"),
    "no dtype": header_of("()", "(10, 3)"),
    "half a subarray": header_of("('<f4',)", "(10, 3)"),
    "subarray": header_of("('<f4', (3,))", "(10,)"),
    "unknown type": header_of("'<q9'", "(10, 3)"),
    "fields": header_of("[('x', '<f4', (3, 'a'))]", "(10,)"),
    "short fields": header_of("[('x',), ()]", "(10,)"),
    "endless type": header_of(f"'|V{'9' * 30}'", "(10, 3)"),
    "nothing": "",
    "no dict": "[1, 2]",
    "mixed keys": "{1: 2, 'descr': 3}",
    "further key": FLOATS.replace("}", "'more': 1}"),
    "code": "__import__('pathlib').Path('harm_was_done').touch()",
    "open bracket": "(" * 90 + FLOATS,
    "nested": "(" * 4000 + ")" * 4000,
    "null": FLOATS.replace("10", "1\0"),
    "other letters": FLOATS.replace("10", "1\xe9"),
    "an open string": FLOATS.replace("'descr'", "'''descr"),
    "python 2": FLOATS.replace("(10, 3)", "(10L, L3)"),
    "long": FLOATS + " " * 60_000,
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_no_headers_are_refused(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    write_archive(path, {"points.npy": npy(HEADERS[name], POINTS.tobytes())})
    refusal(read_points, path)
    assert not Path("harm_was_done").exists()


def test_other_versions_and_a_header_of_a_megabyte_are_refused(path: Path) -> None:
    for version in ((0, 0), (1, 1), (3, 0), (9, 0)):
        write_archive(path, {"points.npy": npy(FLOATS, POINTS.tobytes(), version)})
        refusal(read_points, path)
    write_archive(path, {"points.npy": npy(FLOATS + " " * (1 << 20), POINTS.tobytes(), (2, 0))})
    assert peak_bytes_of_refusal(path) < 1 << 20


def test_a_name_that_is_there_twice_is_refused(path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for value in (0, 1):
            archive.writestr("points.npy", npy_of(POINTS + value))
    assert "expected one array 'points', found several of that name" in refusal(read_points, path)
    write_archive(path, {"points.npy": npy_of(POINTS), "points": npy_of(POINTS + 1)})
    assert "several of that name" in refusal(read_points, path)


def test_names_that_leave_the_archive_name_nothing(path: Path) -> None:
    for name in ("../../points.npy", "/points.npy", "a/points.npy", "points\n.npy", "points.npy.npy", "n" * 5000):
        write_archive(path, {name: npy_of(POINTS)})
        assert "expected an array 'points', found " in refusal(read_points, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_what_is_no_archive_is_refused(path: Path) -> None:
    np.save(path.with_suffix(".npy"), POINTS)
    archive = io.BytesIO()
    np.savez(archive, points=POINTS)
    for content in (b"", b"PK", b"PK\x05\x06", b"garbage" * 99, path.with_suffix(".npy").read_bytes(), bytes(4096)):
        path.write_bytes(content)
        assert "expected an .npz archive, found damaged or truncated data" in refusal(read_points, path)
    path.write_bytes(b"PK\x05\x06" + bytes(18))
    assert "expected an array 'points', found no array" in refusal(read_points, path)
    with pytest.raises(FileNotFoundError):
        read_points(path.with_name("missing.npz"))
    with pytest.raises(IsADirectoryError):
        read_points(path.parent)
