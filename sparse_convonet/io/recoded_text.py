"""Text in UTF-16, as Windows programs export it, read as if it were UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import BinaryIO, cast

_AT_A_TIME = 1 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class RecodedText:
    """A file of bytes that can be read and gone back in; the places are those of the recoded text."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.seek(0)

    def seek(self, place: int, whence: int = 0) -> int:
        """From the beginning only."""
        assert whence == 0
        self._file.seek(0)
        self._decoder = codecs.getincrementaldecoder(self._encoding)(errors="replace")
        self._rest = b""
        while place:
            place -= len(self.read(min(place, _AT_A_TIME))) or place
        return place

    def read(self, size: int = -1) -> bytes:
        """So many bytes of UTF-8, fewer at the end of the file."""
        parts = [self._rest]
        held = len(self._rest)
        while size < 0 or held < size:
            raw = self._file.read(_AT_A_TIME)
            parts.append(self._decoder.decode(raw, final=not raw).encode("utf-8"))
            held += len(parts[-1])
            if not raw:
                break
        whole = b"".join(parts)
        cut = len(whole) if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]


def as_utf8(file: BinaryIO) -> BinaryIO:
    """The file, recoded where it begins with UTF-16's mark, or holds its zeros in every other byte."""
    head = file.read(4096)
    file.seek(0)
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if encoding is None and len(head) >= 8:
        zeros = [head[start::2].count(0) / len(head[start::2]) for start in (0, 1)]
        encoding = {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((zeros[0] == 1, zeros[1] == 1))
    return file if encoding is None else cast("BinaryIO", RecodedText(file, encoding))


def size_as_utf8(path: Path, file: BinaryIO) -> int:
    """About how many bytes reading will give."""
    size = path.stat().st_size
    return max(1, size // 2) if isinstance(file, RecodedText) else max(1, size)
