"""Refuse LAS and LAZ files whose numbers do not fit them, before laspy and lazrs follow these."""

from __future__ import annotations

import importlib
import importlib.util
import struct
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.las_records import variable_records
from sparse_convonet.runtime.refusals import unreadable

_LARGEST_COMPRESSION = 2_500  # of LAZ, far above what it reaches; for the check of the header only
# In the record that describes the compression: where the number of items stands, and the kinds of those in layers.
_LAZ_USER, _LAZ_ITEMS, _IN_ONE_PIECE, _LAYERED, _EXTRA_BYTES = "laszip encoded", 32, 1, 3, 14
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # POINT14, RGB14, RGBNIR14, WAVEPACKET14
# Bytes of the items of a point, the first of which is its position: LASzip's POINT10, GPSTIME11, RGB12, WAVEPACKET13, and
# the same in layers.  Extra bytes, the third, may be any number.
_ITEM_BYTES = ({6: 20, 7: 8, 8: 6, 9: 29}, {10: 30, 11: 6, 12: 8, 13: 29})
_ANY_BYTES = (0, _EXTRA_BYTES)
_ANY_CHUNK_BYTES = 64 << 20  # of its points


def check_header(path: Path) -> None:
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
        _require_chunked(path)
        _check_chunks(path, start)


def _require_chunked(path: Path) -> None:
    """Refuse LAZ of before LASzip 2, whose points are compressed in one piece: lazrs does not read it."""
    record = next((content for user, _, content in variable_records(path) if user == _LAZ_USER), b"")
    if len(record) >= 6 and int.from_bytes(record[:2], "little") == _IN_ONE_PIECE:
        version = f"{record[4]}.{record[5]}"
        raise ValueError(
            f"{path}: expected LAZ that is compressed in chunks, found points in one piece, as LASzip {version} wrote "
            "them, which lazrs cannot read; convert it with `pdal translate old.laz new.laz` or `laszip`"
        )


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


def checked_chunks(path: Path, header: Any) -> tuple[list[tuple[int, int]], tuple[str, str] | None]:
    """The chunks of a LAZ file, (points, bytes) each, and what was expected of them and found, None where they fit.

    lazrs takes memory for whatever their table says, or ends the process.
    """
    if importlib.util.find_spec("lazrs") is None:  # laspy says so
        return [], None
    lazrs = importlib.import_module("lazrs")
    compression = lazrs.LazVlr(header.vlrs[header.vlrs.index("LasZipVlr")].record_data)
    if compression.item_size() != header.point_format.size:
        found = f"{compression.item_size()} where it is compressed"
        return [], (f"{header.point_format.size} bytes for each point", found)
    items, layered = _items(header)
    if not _are_items(items, layered):
        return [], ("the items of a point as LASzip names them", f"{items}")
    with path.open("rb") as file:
        file.seek(header.offset_to_point_data)
        chunks = lazrs.read_chunk_table(file, compression)
    return chunks, _chunk_misfit(path, header, chunks, compression.item_size())


def _items(header: Any) -> tuple[list[tuple[int, int]], bool]:
    """What each point consists of where it is compressed, (kind, bytes) each, and whether in layers."""
    record = header.vlrs[header.vlrs.index("LasZipVlr")].record_data
    (compressor,), (count,) = struct.unpack_from("<H", record), struct.unpack_from("<H", record, _LAZ_ITEMS)
    return [
        struct.unpack_from("<HH", record, _LAZ_ITEMS + 2 + 6 * item) for item in range(count)
    ], compressor == _LAYERED


def _are_items(items: list[tuple[int, int]], layered: bool) -> bool:
    """Whether a point consists of these; lazrs reads beyond what is there, or takes memory, for others."""
    known, extra = _ITEM_BYTES[layered], _ANY_BYTES[layered]
    kinds = [kind for kind, _ in items]
    return (
        kinds[:1] == [min(known)]
        and len(set(kinds)) == len(kinds)
        and all(kind == extra or known.get(kind) == size for kind, size in items)
    )


def _chunk_misfit(path: Path, header: Any, chunks: list[tuple[int, int]], point_bytes: int) -> tuple[str, str] | None:
    """What was expected of the table of chunks and what was found, None where it fits."""
    size = path.stat().st_size
    points, compressed = (sum(column) for column in zip(*chunks, strict=True)) if chunks else (0, 0)
    if compressed > size or points < header.point_count:
        return f"chunks of {header.point_count} points in {size} bytes", f"{points} points in {compressed} bytes"
    largest = max((count for count, _ in chunks), default=0)
    room = max(_ANY_CHUNK_BYTES, _LARGEST_COMPRESSION * size) // point_bytes
    if largest > room:
        return f"chunks of at most {room} points", f"one of {largest}"
    return _layer_misfit(path, header, chunks)


def _layer_misfit(path: Path, header: Any, chunks: list[tuple[int, int]]) -> tuple[str, str] | None:
    """As _chunk_misfit, for the layers of LAZ 1.4: a chunk begins with a point, its count, and the length of each."""
    items, layered = _items(header)
    if not layered:
        return None
    layers = sum(size if kind == _EXTRA_BYTES else _LAYERS[kind] for kind, size in items)
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
