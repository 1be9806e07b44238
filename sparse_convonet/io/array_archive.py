"""The arrays of an .npz file, read one at a time; what a file declares is checked before memory is taken for it."""

from __future__ import annotations

import errno
import io
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.lib import format as npy_format

from sparse_convonet.runtime.refusals import one_line, unreadable

MAX_ARRAY_BYTES = 2 << 30
_MAX_HEADER_BYTES = 10_000  # as numpy's own limit: the header is parsed as a Python literal
_MAX_LENGTH = 1 << 63
# Larger arrays than this may not expand more than so many times: numbers that were measured never do.
_ANY_EXPANSION_BYTES, _MAX_EXPANSION = 64 << 20, 100
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # numpy's; the others unpack without a limit
_ENCRYPTED = 0x1  # flag bit
# What the zip format, its compressions and numpy's header parser raise for damaged data.
ARCHIVE_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, SyntaxError, tokenize.TokenError, NotImplementedError,
    RuntimeError, OverflowError, LookupError, TypeError, MemoryError,
)  # fmt: skip


class ArrayArchive:
    """An open .npz file.  Pickled objects are never loaded.

    names: the arrays in it.  largest_bytes: of one array; largest_expansion: how many times larger than in the file
    it may be beyond 64 MB.  Raises FileNotFoundError or IsADirectoryError where there is no file, ValueError for one
    that is no archive, or has two arrays of one name.
    """

    def __init__(
        self, path: Path, *, largest_bytes: int = MAX_ARRAY_BYTES, largest_expansion: int = _MAX_EXPANSION
    ) -> None:
        self.path = path
        self._largest_bytes, self._largest_expansion = largest_bytes, largest_expansion
        with self._refusing_damage("an .npz archive"):
            self._zip = zipfile.ZipFile(path)
        self._file_bytes = path.stat().st_size
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self._members:
                self._zip.close()
                raise unreadable(path, f"one array {one_line(name, 100)!r}", "several of that name")
            self._members[name] = info

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

    def read(self, name: str, kinds: str | None = None, dimensions: tuple[int, ...] | None = None) -> np.ndarray:
        """One array, in native byte order; it may be read-only.

        kinds: letters of numpy's dtype.kind that are accepted.  dimensions: accepted numbers of axes.  None: any.

        Raises ValueError, in one sentence, where it is missing, damaged, of another kind or shape, pickled,
        encrypted, or larger than the file can hold.
        """
        if name not in self._members:
            raise unreadable(self.path, f"an array {name!r}", one_line(", ".join(self.names), 100) or "no array")
        info = self._members[name]
        self._require_plausible(name, info)
        with self._refusing_damage(f"an intact array {name!r}"):
            member = self._zip.open(info)
        with member:
            with self._refusing_damage(f"an intact array {name!r}"):
                start = member.read(min(info.file_size, _MAX_HEADER_BYTES + 20))
                shape, fortran, dtype, offset = _parse_header(start)
            self._require(name, shape, dtype, kinds, dimensions)
            declared = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
            if declared != info.file_size:
                found = f"{info.file_size}"
                raise unreadable(self.path, f"{declared} bytes in {name!r}, as its header says", found)
            with self._refusing_damage(f"an intact array {name!r}"):
                # A stated length, as what is beyond it would be unpacked and then thrown away.
                content = start + member.read(declared - len(start))
        if len(content) != declared:
            raise unreadable(self.path, f"{declared} bytes in {name!r}, as its header says", f"{len(content)}")
        flat = np.frombuffer(content, dtype, offset=offset)
        if not dtype.isnative:
            flat = flat.astype(dtype.newbyteorder("="))
        return flat.reshape(shape, order="F" if fortran else "C")

    @contextmanager
    def _refusing_damage(self, expected: str) -> Iterator[None]:
        """Turn what damaged data makes others raise into one sentence; nothing in the block may raise its own."""
        try:
            yield
        except ARCHIVE_DAMAGE as error:
            raise unreadable(self.path, expected, "damaged or truncated data") from error
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place before the beginning of the file
                raise
            raise unreadable(self.path, expected, "damaged or truncated data") from error

    def _require_plausible(self, name: str, info: zipfile.ZipInfo) -> None:
        """Refuse what cannot be read, or is larger than the file can hold, by what the archive's directory says."""
        if info.flag_bits & _ENCRYPTED:
            raise unreadable(self.path, f"{name!r} without a password", "an encrypted array")
        if info.compress_type not in COMPRESSIONS:
            raise unreadable(self.path, f"{name!r} stored or deflated", f"compression method {info.compress_type}")
        if info.compress_size > self._file_bytes:
            expected = f"at most the {self._file_bytes} bytes of the file for {name!r}"
            raise unreadable(self.path, expected, f"{info.compress_size}")
        if info.file_size > self._largest_bytes:
            raise unreadable(self.path, f"at most {self._largest_bytes} bytes in {name!r}", f"{info.file_size}")
        if info.file_size > max(_ANY_EXPANSION_BYTES, self._largest_expansion * info.compress_size):
            expected = f"{name!r} compressed to no less than a {self._largest_expansion}th"
            raise unreadable(self.path, expected, f"{info.file_size} bytes in {info.compress_size}")

    def _require(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype,
        kinds: str | None,
        dimensions: tuple[int, ...] | None,
    ) -> None:
        if dtype.hasobject:
            raise unreadable(
                self.path, f"plain numbers in {name!r}", "pickled objects or garbage, which are not loaded"
            )
        if kinds is None or dimensions is None:
            return
        if dtype.kind not in kinds or len(shape) not in dimensions or dtype.names:
            axes = " or ".join(str(count) for count in dimensions)
            words = {"f": "floats", "i": "integers", "u": "unsigned integers", "b": "bools"}
            expected = f"{name!r} as {' or '.join(words[kind] for kind in kinds)} with {axes} axes"
            raise unreadable(self.path, expected, f"{one_line(str(dtype))} of shape {one_line(str(shape))}")


def _parse_header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """shape, Fortran order, dtype and where the data begins."""
    stream = io.BytesIO(start)
    version = npy_format.read_magic(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of files that Python 2 wrote
        if version == (1, 0):
            shape, fortran, dtype = npy_format.read_array_header_1_0(stream, _MAX_HEADER_BYTES)
        elif version == (2, 0):
            shape, fortran, dtype = npy_format.read_array_header_2_0(stream, _MAX_HEADER_BYTES)
        else:
            raise ValueError(f"version {version}")
    if any(type(length) is not int or not 0 <= length < _MAX_LENGTH for length in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype, stream.tell()


@dataclass(frozen=True)
class ArrayFile:
    """The array of an .npy file, whose header is checked against the file's size and which is not read yet.

    offset: of the first number.
    """

    path: Path
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    offset: int

    @classmethod
    def open(cls, path: Path) -> ArrayFile:
        """Raises ValueError, in one sentence, where it is damaged, truncated or pickled."""
        with path.open("rb") as file:
            start = file.read(_MAX_HEADER_BYTES + 20)
        try:
            found = cls(path, *_parse_header(start))
        except ARCHIVE_DAMAGE as error:
            raise unreadable(path, "a .npy array", "damaged or truncated data, or garbage") from error
        if found.dtype.hasobject:
            raise unreadable(path, "plain arrays of numbers", "pickled objects or garbage, which are not loaded")
        size, wanted = (
            path.stat().st_size,
            found.offset + int(np.prod(found.shape, dtype=object)) * found.dtype.itemsize,
        )
        if wanted > size:
            raise unreadable(path, f"{wanted} bytes, as its header says", f"damaged or truncated data of {size}")
        return found

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Some rows of an array of two axes, in native byte order.  Raises ValueError where the file became shorter."""
        rows, columns = self.shape
        if not self.fortran:
            return self._numbers(start * columns, stop * columns).reshape(stop - start, columns)
        return np.stack(
            [self._numbers(first + start, first + stop) for first in range(0, rows * columns, rows)], axis=1
        )

    def records(self, start: int, stop: int) -> np.ndarray:
        """Some of an array of one axis, in native byte order.  Raises ValueError where the file became shorter."""
        return self._numbers(start, stop)

    def _numbers(self, start: int, stop: int) -> np.ndarray:
        place = self.offset + start * self.dtype.itemsize
        numbers = np.fromfile(self.path, self.dtype, stop - start, offset=place)
        if len(numbers) < stop - start:
            raise unreadable(self.path, f"{stop - start} records", f"only {len(numbers)}: the file is truncated")
        return numbers.astype(self.dtype.newbyteorder("="), copy=False)
