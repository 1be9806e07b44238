"""The arrays of an .npz file, read one at a time; what a file declares is checked before memory is taken for it."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy_format

from sparse_convonet.io.refusals import unreadable

MAX_ARRAY_BYTES = 2 << 30
_MAX_HEADER_BYTES = 10_000  # as numpy's own limit: the header is parsed as a Python literal
# What the zip format, its compressions and numpy's header parser raise for damaged data.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, SyntaxError, tokenize.TokenError, NotImplementedError,
    RuntimeError, OverflowError, KeyError, TypeError, MemoryError, RecursionError,
)  # fmt: skip


class ArrayArchive:
    """An open .npz file.  Pickled objects are never loaded.

    names: the arrays in it.  Raises FileNotFoundError for a missing file, ValueError for one that is no archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGE as error:
            raise unreadable(path, "an .npz archive", "damaged or truncated data") from error
        self._members = {info.filename.removesuffix(".npy"): info for info in self._zip.infolist()}

    def __enter__(self) -> ArrayArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, kinds: str, dimensions: tuple[int, ...]) -> np.ndarray:
        """One array.  kinds: letters of numpy's dtype.kind that are accepted.  dimensions: accepted numbers of axes.

        Raises ValueError, in one sentence, where it is missing, damaged, of another kind or shape, pickled, or
        larger than the file can hold.
        """
        if name not in self._members:
            raise unreadable(self.path, f"an array {name!r}", ", ".join(self.names) or "no array")
        info = self._members[name]
        if info.file_size > MAX_ARRAY_BYTES:
            raise unreadable(self.path, f"at most {MAX_ARRAY_BYTES} bytes in {name!r}", f"{info.file_size}")
        try:
            with self._zip.open(info) as member:
                start = member.read(min(info.file_size, _MAX_HEADER_BYTES + 20))
                shape, fortran, dtype, offset = _parse_header(start)
                self._require(name, shape, dtype, kinds, dimensions)
                declared = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
                if declared != info.file_size:
                    raise unreadable(
                        self.path, f"{declared} bytes in {name!r}, as its header says", f"{info.file_size}"
                    )
                content = start + member.read()
        except _DAMAGE as error:
            if str(error).startswith(str(self.path)):
                raise
            raise unreadable(self.path, f"an intact array {name!r}", "damaged or truncated data") from error
        flat = np.frombuffer(content, dtype, offset=offset)
        return flat.reshape(shape, order="F" if fortran else "C")

    def _require(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype, kinds: str, dimensions: tuple[int, ...]
    ) -> None:
        if dtype.hasobject:
            raise unreadable(self.path, f"plain numbers in {name!r}", "pickled objects, which are not loaded")
        if dtype.kind not in kinds or len(shape) not in dimensions or dtype.names:
            axes = " or ".join(str(count) for count in dimensions)
            words = {"f": "floats", "i": "integers", "u": "unsigned integers", "b": "bools"}
            expected = f"{name!r} as {' or '.join(words[kind] for kind in kinds)} with {axes} axes"
            raise unreadable(self.path, expected, f"{dtype} of shape {shape}")


def _parse_header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """shape, Fortran order, dtype and where the data begins."""
    stream = io.BytesIO(start)
    version = npy_format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = npy_format.read_array_header_1_0(stream, _MAX_HEADER_BYTES)
    elif version == (2, 0):
        shape, fortran, dtype = npy_format.read_array_header_2_0(stream, _MAX_HEADER_BYTES)
    else:
        raise ValueError(f"version {version}")
    return shape, fortran, dtype, stream.tell()
