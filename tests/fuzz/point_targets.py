"""Readers of points: PCD, text, LAS, LAZ, E57, numpy's arrays, and what cleans the points they give."""

from __future__ import annotations

import importlib.util
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from sparse_convonet.clouds.cleaning import clean_points, describe
from sparse_convonet.io import number_text
from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud
from tests.fuzz.containers import mutate_e57, mutate_zip, zipped
from tests.fuzz.mutations import draw
from tests.fuzz.target import Target
from tests.io.made_scans import require_equal

ROWS = 5


def cloud(rows: int = ROWS) -> PointCloud:
    """A few points with colours and normals."""
    rng = np.random.default_rng(7)
    normals = rng.standard_normal((rows, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colours = rng.integers(0, 256, (rows, 3)).astype(np.uint8)
    return PointCloud(np.round(rng.uniform(-3, 3, (rows, 3)), 3), colours, normals.astype(np.float32))


def written(write: Callable[[Path], object], suffix: str) -> bytes:
    """The bytes that `write` puts into a file of this suffix."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"sample{suffix}"
        write(path)
        return path.read_bytes()


def read_cloud(folder: Path, file: Path) -> PointCloud:
    found = read_points(file)
    require_sound(found)
    return found


def _read_in_chunks(folder: Path, file: Path) -> None:
    """The same as read whole: points, colours, or the sentence of the refusal.  Text in blocks of a few lines."""
    with mock.patch.object(number_text, "BLOCK_BYTES", 150):
        try:
            whole = read_points(file)
        except ValueError as error:
            refused: ValueError | None = None
            try:
                joined(read_chunks(file, chunk_points=2))
            except ValueError as again:
                refused = again
            # In brackets are the parser's own words, and lazrs has two parsers.
            same = [re.sub(r" \(.*?\);", ";", str(each)) for each in (refused, error)]
            assert refused is not None and same[0] == same[1], f"{refused} and whole: {error}"
            raise
        require_equal(joined(read_chunks(file, chunk_points=2)), whole)


def require_sound(found: PointCloud) -> None:
    """What a reader returns must be what it promises."""
    assert found.points.dtype == np.float64 and found.points.shape[1] == 3 and len(found) > 0
    assert found.colours is None or (found.colours.dtype == np.uint8 and found.colours.shape == found.points.shape)
    assert found.normals is None or (found.normals.dtype == np.float32 and found.normals.shape == found.points.shape)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz(method: int = zipfile.ZIP_STORED, **arrays: np.ndarray) -> bytes:
    return zipped({f"{name}.npy": npy(array) for name, array in arrays.items()}, method)


def _texts(count: int = ROWS) -> list[bytes]:
    points = cloud(count)
    rows = [" ".join(f"{value:g}" for value in row) for row in points.points]
    colours = [" ".join(str(value) for value in row) for row in points.colours] if points.colours is not None else []
    plain = "\n".join(rows) + "\n"
    both = [f"{row} {colour}" for row, colour in zip(rows, colours, strict=True)]
    counted = "\n".join([str(len(rows)), *(f"{row} -{i} {c}" for i, (row, c) in enumerate(zip(rows, colours)))])  # noqa: B905
    commas = "x,y,z,r,g,b\n" + "\n".join(row.replace(" ", ",") for row in both)
    semicolons = '"X [m]";"Y [m]";"Z [m]"\r\n' + "\r\n".join(row.replace(" ", ";") for row in rows)
    comments = "# scan\n// x y z nx ny nz\n" + plain.replace("\n", " # a remark\n", 1)
    full = written(lambda path: write_points(path, points), ".xyz").decode()
    return [text.encode() for text in (plain, "\n".join(both), counted, commas, semicolons, comments, full)]


def _lzf(data: bytes) -> bytes:
    """Literals, and one reference back."""
    literal = b"".join(bytes([len(data[at : at + 32]) - 1]) + data[at : at + 32] for at in range(0, len(data) - 3, 32))
    return literal


def _pcds(count: int = ROWS) -> list[bytes]:
    points = cloud(count)
    packed = np.arange(count, dtype=np.uint32) * 65793
    files = []
    for encoding in ("ascii", "binary", "binary_compressed"):
        for kind, size in (("F", 4), ("F", 8)):
            head = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb _\n"
            head += f"SIZE {size} {size} {size} 4 1\nTYPE {kind} {kind} {kind} U U\n"
            head += (
                f"COUNT 1 1 1 1 2\nWIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA {encoding}\n"
            )
            places = points.points.astype(f"<f{size}")
            if encoding == "ascii":
                rows = [f"{x:g} {y:g} {z:g} {c} 1 2" for (x, y, z), c in zip(places.tolist(), packed, strict=True)]
                body = ("\n".join(rows) + "\n").encode()
            elif encoding == "binary":
                body = b"".join(place.tobytes() + c.tobytes() + b"ab" for place, c in zip(places, packed, strict=True))
            else:
                fields = places.T.tobytes() + packed.tobytes() + b"ab" * count
                short = _lzf(fields)
                body = np.array([len(short), len(fields)], "<u4").tobytes() + short
            files.append(head.encode() + body)
    return files


def _las(suffix: str) -> list[bytes]:
    import laspy

    files = [written(lambda path: write_points(path, cloud()), suffix)]
    for version, kind in (("1.4", 7), ("1.2", 1)):
        header = laspy.LasHeader(version=version, point_format=kind)
        records = laspy.LasData(header)
        records.x, records.y, records.z = cloud().points.T
        files.append(written(lambda path, records=records: records.write(str(path)), suffix))  # type: ignore[misc]
    return files


def _e57() -> list[bytes]:
    import pye57

    points = cloud()
    assert points.colours is not None
    scan = {f"cartesian{axis}": np.ascontiguousarray(points.points[:, i]) for i, axis in enumerate("XYZ")}
    colours = {f"color{name}": points.colours[:, i].copy() for i, name in enumerate(("Red", "Green", "Blue"))}
    invalid = {"cartesianInvalidState": np.zeros(ROWS, dtype=np.int8)}

    def write(path: Path, *scans: dict) -> None:
        with pye57.E57(str(path), mode="w") as archive:
            for each in scans:
                archive.write_scan_raw(each, rotation=np.array([1.0, 0, 0, 0]), translation=np.array([1.0, 2, 3]))

    return [
        written(lambda path: write(path, scan), ".e57"),
        written(lambda path: write(path, {**scan, **colours, **invalid}, scan), ".e57"),
    ]


def _hostile_arrays(samples: object, words: object, rng: np.random.Generator) -> bytes:
    """Points with numbers no scanner measures, in rows, columns or here and there."""
    rows = (0, 1, 49, 50, 60, 200)[draw(rng, 6)]
    points = rng.uniform(-5, 5, (rows, 3)).astype((np.float32, np.float64)[draw(rng, 2)])
    extremes = (0.0, -0.0, 1e4, 1e9, -1e9, 1e18, 1e30, 3e38, 1e-40, np.nan, np.inf, -np.inf, 1e300, -1.7e308, 5e-324)
    for _ in range(draw(rng, 5)):
        with np.errstate(over="ignore"):
            value = float(points.dtype.type(extremes[draw(rng, len(extremes))]))
        if not rows:
            break
        way = draw(rng, 6)
        if way == 0:
            points[draw(rng, rows)] = value
        elif way == 1:
            points[:, draw(rng, 3)] = value
        elif way == 2:
            points[rng.random((rows, 3)) < 0.2] = value
        elif way == 3:
            points[draw(rng, rows) :] = points[0]
        elif way == 4:
            with np.errstate(over="ignore", invalid="ignore"):
                points = np.multiply(points, value).astype(points.dtype)
        else:
            points[:, draw(rng, 3)] = points[:, draw(rng, 3)]
    return npy(points)


def _clean(folder: Path, file: Path) -> None:
    cleaned, dropped = clean_points(read_cloud(folder, file))
    assert np.isfinite(cleaned.points).all() and len(cleaned) >= 50
    summary = describe(cleaned)
    assert np.isfinite([*summary.extent, summary.spacing, summary.up_confidence, summary.units_confidence]).all()


_PCD_WORDS = tuple(b"FIELDS COLUMNS SIZE TYPE COUNT WIDTH HEIGHT POINTS DATA VERSION x y z rgb rgba _ F I U ascii "
                   b"binary binary_compressed normal_x normal_y normal_z red green blue 1 2 4 8".split())  # fmt: skip
_PLY_WORDS = tuple(b"ply format binary_little_endian binary_big_endian ascii element vertex face camera property list "
                   b"uchar ushort int float double x y z red green blue vertex_indices end_header 1".split())  # fmt: skip
_TEXT_WORDS = tuple(b"x y z nx ny nz red green blue r g b x,y,z X;Y;Z # // ; , ,, \" ' \xef\xbb\xbf \xff".split())
_NPY_WORDS = (b"'<f8'", b"'|O'", b"'<U9'", b"'<M8[s]'", b"'<c16'", b"[('a','<f8')]", b"(3,)", b"(5,3)", b"(0,3)", b"()",
              b"(99999999999,3)", b"(-1,3)", b"True", b"'<f2'", b"'>f4'", b"'|b1'", b"'<i8'", b"'<u8'")  # fmt: skip
_E57_WORDS = tuple(b'type="Float" type="Integer" type="ScaledInteger" type="Structure" type="CompressedVector" '
                   b'minimum="9" maximum="-9" precision="single" recordCount="99999999999" fileOffset="0"'.split()
)  # fmt: skip


def _arrays() -> list[bytes]:
    points = cloud()
    assert points.colours is not None and points.normals is not None
    return [
        npz(points=points.points, colours=points.colours, normals=points.normals),
        npz(zipfile.ZIP_DEFLATED, xyz=points.points.astype(np.float32), rgb=points.colours / 255),
        npz(points=np.asfortranarray(points.points.astype(">f4"))),
    ]


def _point_plys() -> list[bytes]:
    """Files without faces, which are read in chunks."""
    header = (
        f"ply\nformat binary_big_endian 1.0\nelement vertex {ROWS}\nproperty double x\nproperty float y\n"
        "property short z\nproperty ushort red\nproperty ushort green\nproperty ushort blue\nelement camera 1\n"
        "property int id\nelement face 0\nproperty list uchar int vertex_indices\nend_header\n"
    )
    kinds = [">f8", ">f4", ">i2", ">u2", ">u2", ">u2"]
    rows = np.zeros(ROWS, dtype=[(str(index), kind) for index, kind in enumerate(kinds)])
    for index in range(len(kinds)):
        rows[str(index)] = np.arange(ROWS) * 100 * index
    binary = header.encode() + rows.tobytes() + b"\0\0\0\1"
    text = header.replace("binary_big_endian", "ascii").replace("camera 1", "camera 0")
    numbers = "".join(" ".join(str(value) for value in row) + "\n" for row in rows.tolist())
    return [written(lambda path: write_points(path, cloud()), ".ply"), binary, (text + numbers).encode()]


def _has(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def _npys() -> list[bytes]:
    points = cloud()
    assert points.colours is not None
    wide = np.hstack([points.points, points.colours])
    return [npy(points.points), npy(wide), npy(wide[:, 3:].astype(np.uint8))]


def targets() -> list[Target]:
    found = [
        Target("pcd", "a.pcd", _pcds, read_cloud, _PCD_WORDS),
        Target("text", "a.xyz", _texts, read_cloud, _TEXT_WORDS),
        Target("npy", "a.npy", _npys, read_cloud, _NPY_WORDS),
        Target("npz", "a.npz", _arrays, read_cloud, _NPY_WORDS, mutate_zip),
        Target("ply chunks", "a.ply", _point_plys, _read_in_chunks, _PLY_WORDS, quick=80),
        Target("text chunks", "a.xyz", lambda: _texts(20), _read_in_chunks, _TEXT_WORDS, quick=80),
        Target("pcd chunks", "a.pcd", lambda: _pcds(20), _read_in_chunks, _PCD_WORDS, quick=80),
        Target("npy chunks", "a.npy", _npys, _read_in_chunks, _NPY_WORDS, quick=80),
        Target("cleaning", "a.npy", lambda: [npy(cloud(60).points)], _clean, mutate=_hostile_arrays),
    ]
    if _has("laspy", "lazrs"):
        found.append(Target("las", "a.las", lambda: _las(".las"), read_cloud))
        found.append(Target("laz", "a.laz", lambda: _las(".laz"), read_cloud))
        found += [
            Target(f"{kind} chunks", f"a.{kind}", lambda kind=kind: _las(f".{kind}"), _read_in_chunks)  # type: ignore[misc]
            for kind in ("las", "laz")
        ]
    if _has("pye57"):
        found.append(Target("e57 chunks", "a.e57", _e57, _read_in_chunks, _E57_WORDS, mutate_e57, quick=60))
        found.append(Target("e57", "a.e57", _e57, read_cloud, _E57_WORDS, mutate_e57, quick=60))
    return found
