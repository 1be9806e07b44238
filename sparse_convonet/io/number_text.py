"""Numbers in text files of any size: fast where all is well, and with the number of the line where it is not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.runtime.refusals import unreadable

BLOCK_BYTES = 1 << 24  # in memory at a time
_LONGEST_LINE = 1 << 26
_LONGEST_COUNT = 18  # digits
_CACHED_BYTES = 1 << 22  # parsed at once: small enough to stay in the cache
_NEWLINE, _LARGEST_SPACE = 10, 32  # byte values; everything up to a space separates


def line_blocks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a file from where it stands, in parts that end with a line (the last one perhaps without its end).

    path: for messages only.  Raises ValueError where a line takes more than 64 MiB.
    """
    rest = b""
    while block := file.read(BLOCK_BYTES):
        end = block.rfind(b"\n") + 1 or block.rfind(b"\r") + 1  # line ends of old Macs
        if end:
            yield rest + block[:end] if rest else block[:end]
            rest = block[end:]
            continue
        rest += block
        if len(rest) > _LONGEST_LINE:
            raise unreadable(path, f"lines of at most {_LONGEST_LINE} bytes", "a longer one")
    if rest:
        yield rest


class NumberFile:
    """The numbers of a text, from where its file stands, read as if it were a binary file of doubles.

    path: for messages only.  first_line: the number of the line where the file stands.  keep: numbers that are read
    stay in memory for the next time; else the text is parsed again.  Reading raises ValueError as parse_numbers.
    """

    def __init__(self, path: Path, file: BinaryIO, first_line: int, *, keep: bool = False) -> None:
        self._path, self._file, self._start, self._first_line = path, file, file.tell(), first_line
        self._keep, self._kept, self._all_kept = keep, list[np.ndarray](), False
        self.rewind()

    def rewind(self) -> None:
        """Go back to the first number."""
        self._blocks = iter(self._kept) if self._all_kept else self._parsed()
        self._rest = np.zeros(0)

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes of float64 numbers, fewer at the end; -1: all that are left."""
        parts, missing = [], size // 8
        while size < 0 or missing > 0:
            if len(self._rest) == 0:
                block = next(self._blocks, None)
                if block is None:
                    break
                self._rest = block
            part = self._rest if size < 0 else self._rest[:missing]
            self._rest = self._rest[len(part) :]
            parts.append(part)
            missing -= len(part)
        return parts[0].tobytes() if len(parts) == 1 else b"".join(part.tobytes() for part in parts)

    def _parsed(self) -> Iterator[np.ndarray]:
        self._file.seek(self._start)
        self._kept, done = [], 0
        for block in line_blocks(self._path, self._file):
            numbers = _fast_numbers(block)
            if numbers is None:
                numbers = parse_numbers(self._path, block, self._first_line + self._lines_in(done))
            done += len(block)
            if self._keep:
                self._kept.append(numbers)
            yield numbers
        self._all_kept = self._keep

    def _lines_in(self, size: int) -> int:
        """Of the first bytes, which are whole blocks, as parse_numbers counts."""
        place, count = self._file.tell(), 0
        self._file.seek(self._start)
        for block in line_blocks(self._path, self._file):
            if size <= 0:
                break
            size -= len(block)
            count += len(block.decode("latin-1").splitlines())
        self._file.seek(place)
        return count


def is_count(word: bytes) -> bool:
    """Whether a word is a whole number that fits 64 bits."""
    return word.isdigit() and len(word) <= _LONGEST_COUNT


def is_number(word: str) -> bool:
    """Whether a word is a number as float() reads it, nan and inf included."""
    try:
        float(word)
    except ValueError:
        return False
    # 1_000, and digits of other scripts, are numbers to Python only.
    return "_" not in word and word.isascii()


def parse_lines(path: Path, lines: list[bytes], lengths: np.ndarray) -> np.ndarray:
    """The numbers of lines that hold lengths (L,) words each, (lengths.sum(),) float64.

    Raises ValueError naming the first word that is no number.
    """
    numbers = parse_numbers(path, b"\n".join(lines), None)
    if len(numbers) != int(lengths.sum()):  # a control character that some take for white space and some not
        raise unreadable(path, f"{int(lengths.sum())} numbers", f"{len(numbers)}, and control characters")
    return numbers


def parse_numbers(path: Path, body: bytes, first_line: int | None) -> np.ndarray:
    """All numbers of a text separated by white space, (n,) float64.

    first_line: the number of the body's first line within its file, None where the body is not a part of it.
    Raises ValueError naming the first other word and its line.
    """
    numbers = _fast_numbers(body)
    if numbers is not None:
        return numbers
    words: list[str] = []
    for number, line in enumerate(body.decode("latin-1").splitlines()):
        for word in line.split():
            if not is_number(word):
                place = "numbers" if first_line is None else f"numbers in line {number + first_line}"
                raise unreadable(path, place, repr(word[:40]))
            words.append(word)
    return np.array(words, dtype=np.float64)


def _fast_numbers(body: bytes) -> np.ndarray | None:
    """As parse_numbers, or None where the body holds anything else than numbers."""
    if not body.strip():
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's way to say that it stopped at a word
        try:
            return np.fromstring(body, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def parse_table(body: bytes, separator: str | None) -> np.ndarray | None:
    """(rows, columns) float64 where each line that is not blank has as many numbers as the first, else None.

    separator: one character between numbers, None for white space.
    """
    tables = []
    start = 0
    while start < len(body):
        end = body.find(b"\n", start + _CACHED_BYTES) + 1 or len(body)  # whole lines
        table = _parse_block(body[start:end], separator)
        if table is None:
            return None
        if table.size:
            tables.append(table)
        start = end
    widths = {table.shape[1] for table in tables}
    return np.concatenate(tables) if len(widths) == 1 else None


def _parse_block(block: bytes, separator: str | None) -> np.ndarray | None:
    """As parse_table; (0, 0) where all lines are blank."""
    spaced = block if separator is None else block.replace(separator.encode("ascii"), b" ")
    numbers = _fast_numbers(spaced)
    if numbers is None:
        return None
    characters = np.frombuffer(spaced, np.uint8)
    is_word = characters > _LARGEST_SPACE
    starts = np.flatnonzero(is_word[1:] & ~is_word[:-1]) + 1 if is_word.any() else np.zeros(0, dtype=np.int64)
    if len(is_word) and is_word[0]:
        starts = np.concatenate([[0], starts])
    line_ends = np.append(np.flatnonzero(characters == _NEWLINE), len(spaced))
    words_per_line = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    filled = words_per_line > 0
    if not filled.any():
        return np.zeros((0, 0))
    width = int(words_per_line[filled][0])
    if np.any(words_per_line[filled] != width) or len(numbers) != len(starts):
        return None
    if separator is not None:
        marks = np.flatnonzero(np.frombuffer(block, np.uint8) == ord(separator))
        marks_per_line = np.diff(np.searchsorted(marks, line_ends), prepend=0)
        if np.any(marks_per_line != np.where(filled, width - 1, 0)):  # an empty or an additional cell
            return None
    return numbers.reshape(-1, width)
