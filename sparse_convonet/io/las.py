"""Read and write LAS and LAZ files with laspy (extra `las`)."""

from __future__ import annotations

import importlib
import importlib.util
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.las_records import variable_records
from sparse_convonet.io.las_units import declared_units
from sparse_convonet.io.point_chunk import CHUNK_POINTS, PointChunk
from sparse_convonet.runtime.refusals import damaged, require_package, require_points, unreadable
from sparse_convonet.structures import LeftOut, PointCloud

_LARGEST_COMPRESSION = 2_500  # of LAZ, far above what it reaches; for the check of the header only
# In the record that describes the compression: where the number of items stands, and the kinds of those in layers.
_LAZ_USER, _LAZ_ITEMS, _IN_ONE_PIECE, _LAYERED, _EXTRA_BYTES = "laszip encoded", 32, 1, 3, 14
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # POINT14, RGB14, RGBNIR14, WAVEPACKET14
# Bytes of the items of a point, the first of which is its position: LASzip's POINT10, GPSTIME11, RGB12, WAVEPACKET13, and
# the same in layers.  Extra bytes, the third, may be any number.
_ITEM_BYTES = ({6: 20, 7: 8, 8: 6, 9: 29}, {10: 30, 11: 6, 12: 8, 13: 29})
_ANY_BYTES = (0, _EXTRA_BYTES)
_ANY_CHUNK_BYTES = 64 << 20  # of its points
_PARALLEL_CHUNK_POINTS = 500_000  # ten times what is usual
_NOISE_CLASSES = (7, 18)  # low points and high noise
_SCALE_M = 1e-4  # the step at which coordinates are stored: a tenth of a millimetre


def las_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """Points with the file's scale and offset applied, so many at a time (None: as reading is fastest).

    Withheld points and noise are left out and counted; the unit is what the file's coordinate system declares.
    Of LAZ at least one chunk of the file is in memory, usually 50,000 points.  Raises ValueError for a damaged or
    truncated file, and for one that holds nothing else than what is left out.
    """
    units, kept = None, 0
    for records, done, count in _records(path, chunk_points):
        rows, left_out = _wanted(records)
        points = _points(records)
        if done == 0:
            units = declared_units(path, float(np.abs(points[:, :2]).max()))
        if units is not None and units.height_factor != 1:
            points[:, 2] *= units.height_factor
        colours = None
        if {"red", "green", "blue"} <= set(records.point_format.dimension_names):
            colours = np.stack([np.asarray(records[name]) for name in ("red", "green", "blue")], axis=1)
        if left_out.total():
            points, colours = points[rows], None if colours is None else colours[rows]
        kept += len(points)
        step = chunk_points or max(1, len(points))
        for start in range(0, max(1, len(points)), step):
            part = slice(start, start + step)
            share = (done + len(records) * min(1.0, part.stop / max(1, len(points)))) / count
            # The format may have the fields though the scan has no colours: all black.
            some = None if colours is None else colours[part]
            unit = None if units is None else units.across
            marked = left_out if start == 0 else LeftOut()
            yield PointChunk(points[part], some, None, share, count, True, unit=unit, left_out=marked)
    if kept == 0:
        raise ValueError(
            f"{path}: expected points that are neither withheld nor noise (classes 7 and 18), found none of {count}; "
            "clear their flags if they are meant"
        )


def _points(records: Any) -> np.ndarray:
    """(n, 3) float64."""
    points = np.empty((len(records), 3))
    with np.errstate(over="ignore", invalid="ignore"):  # of scales that are damaged: not finite, as cleaning finds
        for axis, name in enumerate("xyz"):
            points[:, axis] = records[name]
    return points


def _wanted(records: Any) -> tuple[np.ndarray, LeftOut]:
    """(n,) bool, which records stay, and how many do not: withheld ones, and noise."""
    withheld = np.asarray(records.withheld) != 0
    noise = np.isin(np.asarray(records.classification), _NOISE_CLASSES) & ~withheld
    return ~withheld & ~noise, LeftOut(withheld=int(withheld.sum()), noise=int(noise.sum()))


def _records(path: Path, chunk_points: int | None) -> Iterator[tuple[Any, int, int]]:
    """laspy's records of about so many points each, how many were read before them, and how many there are."""
    laspy = require_package("laspy", "las", "reading .las and .laz")
    if path.suffix.lower() == ".laz":
        require_package("lazrs", "las", "reading .laz")
    _check_header(path)
    with ExitStack() as stack:
        with _naming_damage(path, laspy):
            # Further records behind the points may name any length, and hold nothing that is needed.
            reader = stack.enter_context(laspy.open(path, read_evlrs=False))
            expected = int(reader.header.point_count)
            compressed = expected > 0 and reader.header.are_points_compressed  # none: the table was not looked at
            chunks, misfit = _checked_chunks(path, reader.header) if compressed else ([], None)
        if misfit is not None:
            raise unreadable(path, *misfit)
        require_points(path, expected)
        sizes = np.array([count for count, _ in chunks])
        if chunk_points is not None and np.any(sizes > _PARALLEL_CHUNK_POINTS):
            reader.laz_backend = [laspy.LazBackend.Lazrs]  # the parallel one holds whole chunks of the file
            sizes = sizes[:0]
        read = 0
        for wanted in _portions(sizes, expected, chunk_points or CHUNK_POINTS):
            with _naming_damage(path, laspy):
                records = reader.read_points(wanted)
            if len(records) != wanted:
                raise unreadable(path, f"{expected} points", f"only {read + len(records)}: the file is truncated")
            yield records, read, expected
            read += wanted


def _portions(sizes: np.ndarray, expected: int, at_most: int) -> Iterator[int]:
    """How many points to read at a time: whole chunks of the file, (C,) points each, as far as at_most allows.

    What a chunk gives that is damaged would otherwise depend on where reading begins.
    """
    if len(sizes) == 0:
        sizes = np.full(-(-expected // at_most), at_most)
    ends = np.minimum(np.cumsum(sizes), expected)
    read = 0
    while read < expected:
        fitting, following = np.searchsorted(ends, [read + at_most, read], side="right")
        end = int(ends[max(fitting - 1, following)])
        yield end - read
        read = end


@contextmanager
def _naming_damage(path: Path, laspy: Any) -> Iterator[None]:
    try:
        yield
    except (OSError, MemoryError):
        raise
    except (
        laspy.errors.LaspyException,
        ValueError,
        RuntimeError,
        IndexError,
        KeyError,
        EOFError,
        OverflowError,
    ) as error:
        raise damaged(path, "a whole LAS file", error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of lazrs; no Exception, and no module has it
            raise
        raise damaged(path, "a whole LAS file", error) from error


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


def _checked_chunks(path: Path, header: Any) -> tuple[list[tuple[int, int]], tuple[str, str] | None]:
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
