"""Reading in chunks of any size: the points and colours that were written, and the sentences of reading whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

from sparse_convonet.io import number_text
from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud
from tests.io.made_scans import E57_PLACE, E57_TURN, PLY_KINDS, require_equal, write, write_e57, write_raw_e57

# How far from what was written a format may be, in metres.
STEPS_M = {".las": 0.51e-4, ".laz": 0.51e-4, ".las 1.4": 0.0051, ".laz 1.4": 0.0051, ".e57": 1e-8}
SUFFIXES = [*STEPS_M, *".ply,.xyz,.npz,.npy,.pcd,.ply text,.pcd text".split(",")]
EVERY = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Text in blocks of a line or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_text, "BLOCK_BYTES", 100)
        yield


@EVERY
@given(data=st.data(), kind=st.sampled_from(SUFFIXES), chunk_points=st.integers(1, 80), coloured=st.booleans())
def test_chunks_together_are_what_was_written(
    tmp_path: Path, data: st.DataObject, kind: str, chunk_points: int, coloured: bool
) -> None:
    count = data.draw(st.integers(1, 70))
    points = data.draw(arrays.arrays(np.float64, (count, 3), elements=st.floats(-1000, 1000, width=32)))
    colours = data.draw(arrays.arrays(np.uint8, (count, 3))) if coloured else None
    if colours is not None:
        colours[-1, -1] = 255  # else a table of zeros and ones could hold fractions
    path = write(tmp_path, PointCloud(points, colours), kind)
    expected = E57_TURN.apply(points) + E57_PLACE if kind == ".e57" else points
    chunks = list(read_chunks(path, chunk_points=chunk_points))
    assert all(len(chunk.points) <= chunk_points for chunk in chunks)
    shares = [chunk.share for chunk in chunks]
    assert shares == sorted(shares) and shares[-1] == 1
    for found in (joined(chunks), read_points(path)):
        assert found.points.dtype == np.float64 and found.points.shape == expected.shape
        assert np.abs(found.points - expected).max() <= STEPS_M.get(kind, 0.0)
        assert (found.colours is None) == (colours is None)
        if found.colours is not None:
            assert found.colours.dtype == np.uint8 and found.colours.tolist() == np.asarray(colours).tolist()
    require_equal(joined(chunks), read_points(path))


@pytest.mark.parametrize("suffix", [".ply", ".xyz", ".npz"])
def test_chunks_together_have_the_normals_that_were_written(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    normals = np.tile(np.array([[0, 0.6, 0.8], [1, 0, 0]], dtype=np.float32), (20, 1))
    path = write(tmp_path, PointCloud(rng.random((40, 3)), None, normals), suffix)
    for chunk_points in (1, 7, 40):
        found = joined(read_chunks(path, chunk_points=chunk_points)).normals
        assert found is not None and found.dtype == np.float32 and np.allclose(found, normals, rtol=0, atol=1e-7)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("kind", list(PLY_KINDS))
@pytest.mark.parametrize("scale", [1, 255, 65535])
def test_binary_ply_of_either_byte_order_is_streamed_with_the_range_of_all_its_colours(
    tmp_path: Path, rng: np.random.Generator, order: str, kind: str, scale: int
) -> None:
    if scale > 255 and kind == "uchar":
        return
    mark = {"little": "<", "big": ">"}[order]
    fields = [("t", mark + "i2"), ("x", mark + "f4"), ("y", mark + "f8"), ("z", mark + "i4")]
    rows = np.zeros(100, dtype=[*fields, *((name, mark + PLY_KINDS[kind]) for name in ("red", "green", "blue"))])
    for axis in "xyz":
        rows[axis] = rng.integers(-1000, 1000, 100) / (1 if axis == "z" else 8)
    for name in ("red", "green", "blue"):
        rows[name] = rng.integers(0, 2, 100)
    rows["green"][97] = scale  # only the last chunk tells the range
    header = f"ply\nformat binary_{order}_endian 1.0\nelement camera 2\nproperty double f\nelement vertex 100\n"
    names = {"i2": "short", "f4": "float", "f8": "double", "i4": "int"}
    header += "".join(f"property {names[k[1:]]} {name}\n" for name, k in fields)
    header += "".join(f"property {kind} {name}\n" for name in ("red", "green", "blue"))
    header += "element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    path = tmp_path / "a.ply"
    path.write_bytes(header.encode() + b"\0" * 16 + rows.tobytes())
    chunks = list(read_chunks(path, chunk_points=30))
    assert [len(chunk.points) for chunk in chunks] == [30, 30, 30, 10]
    raw = np.stack([rows[name] for name in ("red", "green", "blue")], axis=1).astype(np.float64)
    is_fraction = scale == 1 and kind in ("float", "double")
    expected = np.floor(raw * (255 if is_fraction else 1 / 256 if scale > 255 else 1)).astype(np.uint8)
    points = np.stack([rows[axis].astype(np.float64) for axis in "xyz"], axis=1)
    for found in (joined(chunks), read_points(path)):
        require_equal(found, PointCloud(points, expected))


def test_meshes_and_folders_are_sampled_as_read_points_does(tmp_path: Path) -> None:
    path = tmp_path / "a.off"
    path.write_text("OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n")
    for seed in (0, 3):
        require_equal(joined(read_chunks(path, chunk_points=100, seed=seed)), read_points(path, seed=seed))


@pytest.mark.parametrize("chunk_points", [1, 7, 33, 1000])
def test_several_e57_scans_with_invalid_points_and_poses_are_read_alike(
    tmp_path: Path, rng: np.random.Generator, chunk_points: int
) -> None:
    clouds = [PointCloud(rng.random((33, 3)) * 50, rng.integers(0, 256, (33, 3)).astype(np.uint8)) for _ in range(3)]
    path, turned = tmp_path / "a.e57", Rotation.random(random_state=1)
    invalid = {"cartesianInvalidState": (np.arange(33) % 4 == 0).astype(np.int8)}
    write_e57(path, clouds, turned, invalid)
    require_equal(joined(read_chunks(path, chunk_points=chunk_points)), read_points(path))
    write_e57(path, [clouds[0], PointCloud(clouds[1].points)], turned)  # colours in one scan only
    assert joined(read_chunks(path, chunk_points=chunk_points)).colours is None
    require_equal(joined(read_chunks(path, chunk_points=chunk_points)), read_points(path))


@pytest.mark.parametrize("limits", [True, False])
@pytest.mark.parametrize("chunk_points", [1, 10, 100])
def test_spherical_e57_with_16_bit_colours_is_read_alike(
    tmp_path: Path, rng: np.random.Generator, chunk_points: int, limits: bool
) -> None:
    pye57 = pytest.importorskip("pye57")
    scan = {
        "sphericalRange": rng.random(40) * 20,
        "sphericalAzimuth": rng.uniform(-np.pi, np.pi, 40),
        "sphericalElevation": rng.uniform(-1, 1, 40),
    }
    scan |= {f"color{name}": rng.integers(0, 200, 40).astype(np.uint16) for name in ("Red", "Green", "Blue")}
    scan["colorGreen"][35] = 60_000
    path = tmp_path / "a.e57"
    with pye57.E57(str(path), mode="w") as archive:
        write_raw_e57(pye57, archive, scan, limits)
    whole = read_points(path)
    assert whole.colours is not None and whole.colours.max() == round(60_000 / (65_535 / 255))
    require_equal(joined(read_chunks(path, chunk_points=chunk_points)), whole)


# What is found, points and the last one's colour or the words of the refusal; the name of the file, its text.
TEXTS: dict[str, tuple[str | tuple[int, list[int] | None], str, str]] = {
    "guessed colours": ((21, [200, 20, 255]), "a.txt", "1 2 3 10 20 30\n" * 20 + "4 5 6 200 20 255\n\n# the end\n"),
    "colours that are none": ("names of its 6 columns, or values that tell what they are",
        "a.txt", "1 2 3 10 20 30\n" * 20 + "4 5 6 200 20 256\n",
    ),
    "colours that look like normals at first": ((21, [200, 20, 255]), "a.xyz", "1 2 3 1 0 0\n" * 20 + "4 5 6 200 20 255\n"),
    "intensity, colours, normals": ((11, [0, 0, 0]), "a.txt", "1 2 3 7 10 20 30 0 1 0\n" * 10 + "1 2 3 7 0 0 0 .6 0 .8\n"),
    "nan": ((21, [200, 0, 255]), "a.txt", "1 2 3 10 20 30\n" * 20 + "4 5 nan 200 nan 255\n"),
    "names": ((20, [128, 64, 255]), "a.csv", "z;y;x;r;g;b\r\n" + "1;2;3;0.5;0.25;1\r\n" * 20),
    "comments": ((40, None), "a.xyz", "\ufeff# x y z\n" + "1 2 3 # one\n#\n\n4 5 6\n" * 20 + "\n" * 300),
    "count": ((21, [1, 2, 3]), "a.pts", "21\n" + "1 2 3 -500 1 2 3\n" * 21),
    "wrong count": ('20 points as its first line says, found 21', "a.pts", "20\n" + "1 2 3 -500 1 2 3\n" * 21),
    "word": ("numbers in line 71, found 'five'", "a.pts", "1 2 3\n" * 70 + "4 five 6\n" + "1 2 3\n" * 70),
    "word in named columns": ("numbers in line 72, found ''", "a.csv", "x,y,z\n" + "1,2,3\n" * 70 + "1,2,\n1,2,3\n"),
    "narrower": ('4 numbers in line 71, found 3', "a.xyz", "1 2 3 4\n" * 70 + "1 2 3\n" * 70),
    "wider": ('6 numbers in line 71, found 7', "a.xyz", "1 2 3 4 5 6\n" * 70 + "1 2 3 4 5 6 7\n"),
    "too narrow": ('at least three numbers per line, found 2', "a.xyz", "1 2\n" * 70),
    "only comments": ('at least one point, found none', "a.xyz", "# 1 2\n" * 70),
    "lines of old Macs": ((70, None), "a.xyz", "1 2 3\r" * 70),
    "binary": ('a text file with one point per line, found binary data', "a.xyz", "\0" * 200),
    "ply with negative colours": ("'blue' of 0 to 255, found -6 to 6",
        "a.ply",
        "ply\nformat ascii 1.0\nelement vertex 40\nproperty int x\nproperty int y\nproperty int z\nproperty uchar red\n"
        "property uchar green\nproperty uchar blue\nend_header\n" + "1 2 3\n4 5 6\n" * 39 + "1 2 3\n4 5 -6",
    ),
    "ply with colours that are nan": ((40, [0, 255, 0]),
        "a.ply",
        "ply\nformat ascii 1.0\nelement face 0\nproperty list uchar int vertex_index\nelement vertex 40\nproperty float x\n"
        "property float y\nproperty int z\nproperty uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
        + "1 2 3 0\n 1 1\n" * 39 + "1 2 3\n0 1 nan",
    ),
    "ply that is cut off": ("90 rows of element 'vertex', found only 80",
        "a.ply",
        "ply\nformat ascii 1.0\nelement vertex 90\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        + "1 2 3\n" * 80 + "1",
    ),
    "ply with a word": ("numbers in line 88, found 'x'",
        "a.ply",
        "ply\nformat ascii 1.0\nelement vertex 90\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
        + "1 2 3\n" * 80 + "1 2 x\n" + "1 2 3\n" * 80,
    ),
    "pcd with colours as floats": ((60, [250, 114, 164]),
        "a.pcd",
        "FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nWIDTH 60\nDATA ascii\n" + "1 2 3 0\n" * 59 + "1 2 3 2.3e-38\n",
    ),
    "pcd with colours as numbers": ((60, [1, 47, 209]),
        "a.pcd",
        "FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nWIDTH 60\nDATA ascii\n" + "1 2 3 0\n" * 59 + "1 2 3 77777\n",
    ),
    "pcd with several y": ('columns x, y and z, found x, z',
        "a.pcd", "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 2 1\nWIDTH 60\nDATA ascii\n" + "1 2 3 4\n" * 59,
    ),
    "pcd that is cut off": ('60 points, found only 59',
        "a.pcd", "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 60\nDATA ascii\n" + "1 2 3\n" * 59 + "1 2",
    ),
    "pcd that is too long": ('60 points, found only 61',
        "a.pcd", "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 60\nDATA ascii\n" + "1 2 3\n" * 61,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.parametrize("chunk_points", [1, 3, 1000, None])
def test_text_is_read_or_refused_whatever_the_chunks(tmp_path: Path, case: str, chunk_points: int | None) -> None:
    expected, name, text = TEXTS[case]
    path = tmp_path / name
    path.write_bytes(text.encode())
    if isinstance(expected, str):
        with pytest.raises(ValueError, match="expected " + re.escape(expected)):
            read_points(path) if chunk_points is None else list(read_chunks(path, chunk_points=chunk_points))
        return
    if chunk_points is not None:
        chunks = list(read_chunks(path, chunk_points=chunk_points))
        assert chunks[-1].share == 1 and max(len(chunk.points) for chunk in chunks) <= chunk_points
        require_equal(joined(chunks), read_points(path))
    found = read_points(path)
    assert (len(found), found.colours if found.colours is None else found.colours[-1].tolist()) == expected
    assert (found.normals is not None) == ("normals" in case and "first" not in case)


def test_text_is_not_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xyz"
    np.savetxt(path, np.arange(60_000.0).reshape(-1, 3))
    monkeypatch.setattr(number_text, "BLOCK_BYTES", 100_000)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read as a whole"))
    counts = [len(chunk.points) for chunk in read_chunks(path)]
    assert sum(counts) == 20_000 and max(counts) < 1500


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xyz").write_bytes(b"1 2 3\n" * 20 + b"1 " * 500)
    monkeypatch.setattr(number_text, "_LONGEST_LINE", 400)
    with pytest.raises(ValueError, match="expected lines of at most 400 bytes, found a longer one"):
        list(read_chunks(tmp_path / "a.xyz"))


@pytest.mark.parametrize("suffix", [".las", ".ply", ".xyz", ".npz"])
def test_what_is_all_black_has_no_colours_and_one_lit_point_gives_them(tmp_path: Path, suffix: str) -> None:
    cloud = PointCloud(np.arange(90.0).reshape(30, 3), np.zeros((30, 3), dtype=np.uint8))
    path = write(tmp_path, cloud, suffix)
    assert joined(read_chunks(path, chunk_points=4)).colours is None
    cloud.colours[29, 1] = 7  # type: ignore[index]
    path = write(tmp_path, cloud, suffix)
    assert np.array_equal(joined(read_chunks(path, chunk_points=4)).colours, cloud.colours)  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk_points", [10_000, 50_000, 70_000, 101_000])
def test_laz_of_several_chunks_is_read_alike(tmp_path: Path, rng: np.random.Generator, chunk_points: int) -> None:
    path = write(tmp_path, PointCloud(rng.random((110_000, 3))), ".laz")
    chunks = list(read_chunks(path, chunk_points=chunk_points))
    assert max(len(chunk.points) for chunk in chunks) <= chunk_points and chunks[-1].share == 1
    require_equal(joined(chunks), read_points(path))


def test_laz_of_one_large_chunk_is_read_alike(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, PointCloud(rng.random((5000, 3))), ".laz")
    monkeypatch.setattr("sparse_convonet.io.las._PARALLEL_CHUNK_POINTS", 1000)
    require_equal(joined(read_chunks(path, chunk_points=700)), read_points(path))


@pytest.mark.parametrize("kind", [kind for kind in SUFFIXES if kind != ".xyz" and "text" not in kind])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused_in_the_same_sentence(
    tmp_path: Path, rng: np.random.Generator, kind: str, share: float
) -> None:
    path = write(tmp_path, PointCloud(rng.random((20_000, 3)) * 30), kind)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match="found") as whole:
        read_points(path)
    with pytest.raises(ValueError, match="^" + re.escape(str(whole.value)) + "$"):
        list(read_chunks(path, chunk_points=3000))


def test_what_cannot_be_read_is_refused_in_the_same_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("1 2 3\n4 five 6\n")
    (tmp_path / "a.docx").write_bytes(b"PK")
    (tmp_path / "a.las").write_bytes(b"garbage" * 100)
    (tmp_path / "no_z.ply").write_text(
        "ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty uchar x\nproperty uchar y\nend_header\nab"
    )
    (tmp_path / "none.ply").write_text(
        "ply\nformat binary_little_endian 1.0\nelement vertex 0\nproperty uchar x\nproperty uchar y\n"
        "property uchar z\nend_header\n"
    )
    (tmp_path / "folder").mkdir()
    for name in ("a.xyz", "a.docx", "a.las", "no_z.ply", "none.ply", "folder", "missing.las", "missing.ply"):
        with pytest.raises((ValueError, FileNotFoundError)) as whole:
            read_points(tmp_path / name)
        with pytest.raises(type(whole.value), match="^" + re.escape(str(whole.value)) + "$"):
            list(read_chunks(tmp_path / name))
    with pytest.raises(ValueError, match="chunk: expected at least one point, found 0"):
        read_chunks(tmp_path / "a.xyz", chunk_points=0)
