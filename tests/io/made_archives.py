"""Archives put together by hand, right or wrong in one place, and the check that they are refused in one sentence."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

# Offsets and formats in an entry of the central directory, which is where readers look.
_FIELDS = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<L"), "compressed": (20, "<L"), "size": (24, "<L")}
_ENTRY = b"PK\x01\x02"


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with this header, padded as numpy pads it."""
    length = "<H" if version[0] == 1 else "<L"
    start = 8 + struct.calcsize(length)
    text = header.encode("latin1")
    text += b" " * (-(start + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack(length, len(text)) + text + data


def header_of(descr: str, shape: str, fortran: bool = False) -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def npy_of(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    """As numpy writes an array, in either version of the format and the array's own order and byte order."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    return npy(header_of(repr(array.dtype.str), str(array.shape), fortran), array.tobytes("A"), version)


def write_archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def patch(path: Path, member: int = 0, **values: int) -> Path:
    """Change what the central directory says about a member."""
    content = bytearray(path.read_bytes())
    place = -1
    for _ in range(member + 1):
        place = content.index(_ENTRY, place + 1)
    for name, value in values.items():
        offset, kind = _FIELDS[name]
        struct.pack_into(kind, content, place + offset, value)
    path.write_bytes(content)
    return path


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """The sentence with which a file is refused: it names the file, what was expected, what was found."""
    with pytest.raises(ValueError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ") and ", found " in message, message
    assert "\n" not in message and len(message) - len(str(path)) < 500, message
    return message
