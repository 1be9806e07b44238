"""Read and write LAS and LAZ files with laspy (extra `las`)."""

from __future__ import annotations

import importlib
import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.columns import to_colours
from sparse_convonet.io.refusals import damaged, require_package, require_points, unreadable
from sparse_convonet.structures import PointCloud

_LARGEST_COMPRESSION = 2_500  # of LAZ, far above what it reaches; for the check of the header only
# In the record that describes the compression: where the number of items stands, and the kinds of those in layers.
_LAZ_ITEMS, _LAYERED, _EXTRA_BYTES = 32, 3, 14
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # POINT14, RGB14, RGBNIR14, WAVEPACKET14
_ANY_CHUNK_BYTES = 64 << 20  # of its points
_SCALE_M = 1e-4  # the step at which coordinates are stored: a tenth of a millimetre


def read_las(path: Path) -> PointCloud:
    """Points as float64 with the file's scale and offset applied; 16-bit colours become 8-bit."""
    laspy = require_package("laspy", "las", "reading .las and .laz")
    if path.suffix.lower() == ".laz":
        require_package("lazrs", "las", "reading .laz")
    _check_header(path)
    try:
        # Further records behind the points may name any length, and hold nothing that is needed.
        with laspy.open(path, read_evlrs=False) as reader:
            expected = int(reader.header.point_count)
            misfit = _chunk_misfit(path, reader.header) if reader.header.are_points_compressed else None
            records: Any = reader.read_points(expected) if misfit is None else ()
    except (OSError, MemoryError):
        raise
    except (laspy.errors.LaspyException, ValueError, RuntimeError, IndexError, KeyError, EOFError) as error:
        raise damaged(path, "a whole LAS file", error) from error
    if misfit is not None:
        raise unreadable(path, *misfit)
    if len(records) != expected:
        raise unreadable(path, f"{expected} points", f"only {len(records)}: the file is truncated")
    require_points(path, len(records))
    with np.errstate(over="ignore", invalid="ignore"):  # of scales that are damaged: not finite, as clean_points finds
        points = np.stack([np.asarray(records[axis], dtype=np.float64) for axis in ("x", "y", "z")], axis=1)
    colours = None
    if {"red", "green", "blue"} <= set(records.point_format.dimension_names):
        values = np.stack([np.asarray(records[name]) for name in ("red", "green", "blue")], axis=1)
        colours = to_colours(values) if values.any() else None  # all black: the format has the fields, the scan not
    return PointCloud(points, colours)


def _check_header(path: Path) -> None:
    """Refuse headers whose numbers do not fit the file: laspy would follow them for hours, or read fewer points.

    Offsets within the header: LAS 1.4 specification R15, table 3.
    """
    with path.open("rb") as file:
        header = file.read(375).ljust(375, b"\0")
    size = path.stat().st_size
    if header[:4] != b"LASF":
        raise unreadable(path, "a LAS file (first bytes 'LASF')", "other bytes")
    minor, record_kind = header[25], header[104]
    header_size, start, variable_records = struct.unpack_from("<HII", header, 94)
    record_size, count = struct.unpack_from("<HI", header, 105)
    extended_records = 0
    if minor >= 4:
        extended_records, count = struct.unpack_from("<IQ", header, 243)
    if header[24] != 1 or minor > 4 or not 227 <= header_size <= start <= size:
        raise unreadable(path, "a LAS file of version 1.0 to 1.4", "a damaged or truncated header")
    if variable_records * 54 > start - header_size or extended_records * 60 > size:
        raise unreadable(path, "a whole LAS file", "more variable records than it has room for (damaged or truncated)")
    is_compressed = record_kind >= 128
    room = (size - start) * (_LARGEST_COMPRESSION if is_compressed else 1)
    if count * record_size > room:
        found = f"room for {room // max(1, record_size)}: the file is truncated"
        raise unreadable(path, f"{count} points", found)
    if is_compressed and count:
        _check_chunks(path, start)


def _check_chunks(path: Path, start: int) -> None:
    """Refuse a LAZ file whose table of chunks is not in it: lazrs would end the process for lack of memory.

    The points begin with the table's offset, -1 where it stands in the last eight bytes; the table begins with its
    version and number of chunks.
    """
    size = path.stat().st_size
    chunks = -1
    with path.open("rb") as file:
        file.seek(start)
        (table,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
        if table == -1 and size >= start + 16:
            file.seek(size - 8)
            (table,) = struct.unpack("<q", file.read(8))
        if start < table <= size - 8:
            file.seek(table)
            _, chunks = struct.unpack("<II", file.read(8))
    if not 0 <= chunks <= size:
        raise unreadable(path, "a whole LAZ file", "no table of its chunks: the file is damaged or truncated")


def _chunk_misfit(path: Path, header: Any) -> tuple[str, str] | None:
    """What was expected of the chunks of a LAZ file and what was found, None where they fit.

    lazrs takes memory for whatever their table says, or ends the process.
    """
    if importlib.util.find_spec("lazrs") is None:  # laspy says so
        return None
    lazrs = importlib.import_module("lazrs")
    compression = lazrs.LazVlr(header.vlrs[header.vlrs.index("LasZipVlr")].record_data)
    if compression.item_size() != header.point_format.size:
        return f"{header.point_format.size} bytes for each point", f"{compression.item_size()} where it is compressed"
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(header.offset_to_point_data)
        chunks = lazrs.read_chunk_table(file, compression)
    points, compressed = (sum(column) for column in zip(*chunks, strict=True)) if chunks else (0, 0)
    if compressed > size or points < header.point_count:
        return f"chunks of {header.point_count} points in {size} bytes", f"{points} points in {compressed} bytes"
    largest = max((count for count, _ in chunks), default=0)
    room = max(_ANY_CHUNK_BYTES, _LARGEST_COMPRESSION * size) // compression.item_size()
    if largest > room:
        return f"chunks of at most {room} points", f"one of {largest}"
    return _layer_misfit(path, header, chunks)


def _layer_misfit(path: Path, header: Any, chunks: list[tuple[int, int]]) -> tuple[str, str] | None:
    """As _chunk_misfit, for the layers of LAZ 1.4: a chunk begins with a point, its count, and the length of each."""
    record = header.vlrs[header.vlrs.index("LasZipVlr")].record_data
    (compressor,), (items,) = struct.unpack_from("<H", record), struct.unpack_from("<H", record, _LAZ_ITEMS)
    if compressor != _LAYERED:
        return None
    kinds = [struct.unpack_from("<HH", record, _LAZ_ITEMS + 2 + 6 * item) for item in range(items)]
    layers = sum(bytes_of if kind == _EXTRA_BYTES else _LAYERS.get(kind, 0) for kind, bytes_of in kinds)
    beginning = header.point_format.size + 4 + 4 * layers
    offset = header.offset_to_point_data + 8  # behind the place of the table
    with path.open("rb") as file:
        for _, length in chunks:
            file.seek(offset)
            content = file.read(beginning)
            lengths = np.frombuffer(content[-4 * layers :], "<u4") if layers and len(content) == beginning else None
            total = 0 if lengths is None else int(lengths.sum(dtype=np.int64))
            if total > length:
                return f"layers of {length} bytes in a chunk", f"{total}"
            offset += length
    return None


def write_las(path: Path, cloud: PointCloud) -> None:
    """Format 1.2 with colours where the cloud has them; coordinates in steps of 0.1 mm; normals are left out."""
    laspy = require_package("laspy", "las", f"writing {path.suffix}")
    if path.suffix.lower() == ".laz":
        require_package("lazrs", "las", "writing .laz")
    if not np.all(np.isfinite(cloud.points)):
        raise ValueError(f"{path}: expected finite coordinates for LAS, found NaN or inf; clean the cloud first")
    header = laspy.LasHeader(version="1.2", point_format=0 if cloud.colours is None else 2)
    header.scales = np.full(3, _SCALE_M)
    header.offsets = np.floor(cloud.points.min(axis=0)) if len(cloud) else np.zeros(3)
    records = laspy.LasData(header)
    records.x, records.y, records.z = cloud.points.T
    if cloud.colours is not None:
        wide = cloud.colours.astype(np.uint16) * 257  # 255 becomes 65535
        records.red, records.green, records.blue = wide.T
    with path.open("wb") as file:
        records.write(file, do_compress=path.suffix.lower() == ".laz")
