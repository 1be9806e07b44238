"""Scans written in every format that is read in chunks, and their comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud

E57_TURN, E57_PLACE = Rotation.from_euler("xyz", [10, 20, 30], degrees=True), np.array([5e5, 5.4e6, 100.25])
PLY_KINDS = {"uchar": "u1", "ushort": "u2", "int": "i4", "float": "f4", "double": "f8"}


def require_equal(found: PointCloud, expected: PointCloud) -> None:
    """The same bits, whatever those of NaN."""
    bits = [np.where(np.isnan(each.points), np.nan, each.points).tobytes() for each in (found, expected)]
    assert found.points.dtype == np.float64 and bits[0] == bits[1]
    for ours, theirs in ((found.colours, expected.colours), (found.normals, expected.normals)):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")


def write(path: Path, cloud: PointCloud, kind: str) -> Path:
    """A file of the kind, one of SUFFIXES."""
    suffix, *version = kind.split()
    path = path / f"scan{suffix}"
    if suffix in (".npy", ".pcd") or "text" in version:
        write_plain(path, cloud, as_text="text" in version, compressed="compressed" in version)
    elif suffix == ".e57":
        write_e57(path, [cloud], E57_TURN)
    elif version:
        laspy = pytest.importorskip("laspy")
        records = laspy.LasData(laspy.LasHeader(version="1.4", point_format=7))
        records.x, records.y, records.z = cloud.points.T
        if cloud.colours is not None:
            records.red, records.green, records.blue = cloud.colours.T
        records.write(str(path))
    else:
        write_points(path, cloud)
    return path


def write_plain(path: Path, cloud: PointCloud, *, as_text: bool, compressed: bool = False) -> None:
    """What write_points does not write: .npy, .pcd and .ply as text or binary, doubles and colours as whole numbers.

    compressed: of .pcd.
    """
    table = cloud.points if cloud.colours is None else np.hstack([cloud.points, cloud.colours])
    if path.suffix == ".npy":
        np.save(path, table)
        return
    colours = [] if cloud.colours is None else ["red", "green", "blue"]
    rows = "".join(" ".join(f"{value:.17g}" for value in row) + "\n" for row in table).encode()
    if path.suffix == ".ply":
        names = "".join(f"property double {axis}\n" for axis in "xyz")
        names += "".join(f"property uchar {name}\n" for name in colours)
        head = f"ply\nformat ascii 1.0\nelement vertex {len(table)}\n{names}end_header\n"
        path.write_bytes(head.encode() + rows)
        return
    kinds = [(axis, "<f8") for axis in "xyz"] + [("rgb", "<u4")] * bool(colours)
    records = np.zeros(len(table), dtype=kinds)
    for index, axis in enumerate("xyz"):
        records[axis] = table[:, index]
    if cloud.colours is not None:
        records["rgb"] = cloud.colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
        rows = "".join("{:.17g} {:.17g} {:.17g} {}\n".format(*record) for record in records.tolist()).encode()
    form, body = "ascii" if as_text else "binary", rows if as_text else records.tobytes()
    if compressed:
        columns = b"".join(records[name].tobytes() for name, _ in kinds)
        short = lzf(columns)
        form, body = "binary_compressed", np.array([len(short), len(columns)], "<u4").tobytes() + short
    head = (
        f"FIELDS {' '.join(name for name, _ in kinds)}\nSIZE {' '.join(kind[2] for _, kind in kinds)}\n"
        f"TYPE {' '.join(kind[1].upper() for _, kind in kinds)}\nWIDTH {len(table)}\nPOINTS {len(table)}\n"
        f"DATA {form}\n"
    )
    path.write_bytes(head.encode() + body)


def lzf(data: bytes) -> bytes:
    """What unpacks to the data, in the format of LZF: literals of at most 32 bytes, nothing shorter."""
    return b"".join(bytes([len(data[at : at + 32]) - 1]) + data[at : at + 32] for at in range(0, len(data), 32))


def ptx(points: np.ndarray, colours: np.ndarray | None, turn: np.ndarray, place: list[float]) -> str:
    """A scan of PTX of two rows: (N, 3) points in the scanner's frame, which is turned and moved to its place."""
    lines = [str(len(points) // 2), "2", " ".join(map(str, place)), *("1 0 0", "0 1 0", "0 0 1")]
    lines += [" ".join(map(str, [*row, 0])) for row in turn.T.tolist()] + [" ".join(map(str, [*place, 1]))]
    for row, point in enumerate(points.tolist()):
        colour = "" if colours is None else " " + " ".join(map(str, colours[row].tolist()))
        lines.append(" ".join(map(str, point)) + f" 0.5{colour}")
    return "\n".join(lines) + "\n"


def splats(points: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> bytes:
    """PLY of 3D Gaussian Splatting: (N, 3) metres, (N, 3) colours of 0 to 255, (N,) opacity as logits."""
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0", "opacity", "scale_0", "rot_0"]
    rows = np.zeros(len(points), [(name, "<f4") for name in names])
    for axis, name in enumerate("xyz"):
        rows[name] = points[:, axis]
    for channel in range(3):
        rows[f"f_dc_{channel}"] = (colours[:, channel] / 255 - 0.5) / 0.28209479177387814
    rows["opacity"] = opacity
    header = "".join(f"property float {name}\n" for name in names)
    text = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n{header}end_header\n"
    return text.encode() + rows.tobytes()


def write_e57(path: Path, clouds: list[PointCloud], rotation: Rotation, extra: dict | None = None) -> None:
    pye57 = pytest.importorskip("pye57")
    x, y, z, w = rotation.as_quat()
    with pye57.E57(str(path), mode="w") as archive:
        for cloud in clouds:
            scan = {f"cartesian{axis}": np.ascontiguousarray(cloud.points[:, i]) for i, axis in enumerate("XYZ")}
            if cloud.colours is not None:
                names = ("Red", "Green", "Blue")
                scan |= {f"color{name}": np.ascontiguousarray(cloud.colours[:, i]) for i, name in enumerate(names)}
            archive.write_scan_raw({**scan, **(extra or {})}, rotation=np.array([w, x, y, z]), translation=E57_PLACE)


def write_raw_e57(pye57: object, archive: object, scan: dict, limits: bool) -> None:
    """A scan of named columns, whatever their names, as pye57 writes them but with limits of the colours or none."""
    lib = pye57.libe57  # type: ignore[attr-defined]
    file = archive.image_file  # type: ignore[attr-defined]
    node, prototype = lib.StructureNode(file), lib.StructureNode(file)
    node.set("guid", lib.StringNode(file, "{one}"))
    for name in scan:
        if name.startswith("color"):
            prototype.set(name, lib.IntegerNode(file, 0, 0, 65535))
        else:
            prototype.set(name, lib.FloatNode(file, 0, lib.E57_DOUBLE, -1e9, 1e9))
    if limits:
        box = lib.StructureNode(file)
        for name in ("Red", "Green", "Blue"):
            box.set(f"color{name}Minimum", lib.IntegerNode(file, 0, 0, 65535))
            box.set(f"color{name}Maximum", lib.IntegerNode(file, 65535, 0, 65535))
        node.set("colorLimits", box)
    points = lib.CompressedVectorNode(file, prototype, lib.VectorNode(file, True))
    node.set("points", points)
    archive.data3d.append(node)  # type: ignore[attr-defined]
    buffers = lib.VectorSourceDestBuffer()
    kept = {name: np.ascontiguousarray(values, dtype=np.float64) for name, values in scan.items()}
    for name, values in kept.items():
        buffers.append(lib.SourceDestBuffer(file, name, values, len(values), True, True))
    points.writer(buffers).write(len(kept["sphericalRange"]))


def read_both_ways(path: Path, columns: list[str] | None = None) -> PointCloud:
    """What read_points reads, which is what the chunks are together."""
    whole = read_points(path, columns=columns)
    for chunk_points in (300, 2000):
        require_equal(joined(read_chunks(path, chunk_points=chunk_points, columns=columns)), whole)
    return whole
