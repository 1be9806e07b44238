"""The variable records of a LAS file, before and behind its points (LAS 1.4 specification R15, 2.5 and 2.7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_HEADER_BYTES = 375
_SHORT, _EXTENDED = "<2x16sHH32x", "<2x16sHQ32x"  # user, number and length of what follows
_LARGEST_CONTENT = 1 << 20


def variable_records(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """(user, number, content) of each record of a file that begins with a header of LAS.

    Records of more than a megabyte, which are none of those that are read here, and those beyond the end of the file
    are passed over.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).ljust(_HEADER_BYTES, b"\0")
        begin, _, count = struct.unpack_from("<HII", header, 94)
        groups = [(begin, count, _SHORT)]
        if header[25] >= 4:
            groups.append((*struct.unpack_from("<QI", header, 235), _EXTENDED))
        for place, count, layout in groups:
            for _ in range(count):
                if place + struct.calcsize(layout) > size:
                    break
                file.seek(place)
                user, number, length = struct.unpack(layout, file.read(struct.calcsize(layout)))
                place += struct.calcsize(layout) + length
                if length <= min(_LARGEST_CONTENT, size):
                    yield user.rstrip(b"\0 ").decode("latin-1"), number, file.read(length)
