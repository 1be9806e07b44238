"""Parse numbers from text: fast where all is well, and with the number of the line where it is not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparse_convonet.io import line_blocks
from sparse_convonet.runtime.refusals import unreadable

_LONGEST_COUNT = 18  # digits
_BLOCK_BYTES = 1 << 22  # parsed at once: small enough to stay in the cache
_NEWLINE, _LARGEST_SPACE = 10, 32  # byte values; everything up to a space separates


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


def number_rows(path: Path, offset: int, first_line: int, width: int) -> Iterator[tuple[np.ndarray, float]]:
    """The numbers of a file from a byte on, as parse_numbers: rows of `width` (n, width) float64, a block at a time.

    With how much of the file is read, in (0, 1].  What is no whole row in the end comes last, as (1, less than width).
    """
    rest, done, size = np.zeros(0), offset, path.stat().st_size
    for content in line_blocks.line_blocks(path, offset):
        numbers = _fast_numbers(content)
        if numbers is None:  # the line of an error is as parse_numbers counts
            numbers = parse_numbers(path, content, first_line + _lines_between(path, offset, done))
        done += len(content)
        rest = np.concatenate([rest, numbers])
        whole = len(rest) // width * width
        if whole:
            yield rest[:whole].reshape(-1, width), done / size
        rest = rest[whole:]
    if len(rest):
        yield rest[None], 1.0


def _lines_between(path: Path, start: int, stop: int) -> int:
    count = 0
    for content in line_blocks.line_blocks(path, start):
        if start >= stop:
            break
        count += len(content.decode("latin-1").splitlines())
        start += len(content)
    return count


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
        end = body.find(b"\n", start + _BLOCK_BYTES) + 1 or len(body)  # whole lines
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
