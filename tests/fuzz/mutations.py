"""Damage to a valid file, drawn from a generator: bytes, numbers, words, lines, and parts of other files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

LARGEST_BYTES = 100_000  # of an input

_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[^\s]+")
_LINE_END = re.compile(rb"\r\n|\n|\r")
NUMBERS = tuple(
    b"0 -0 1 -1 2 3 7 255 256 65535 65536 -32769 2147483647 2147483648 -2147483649 4294967295 4294967296 1000000000 "
    b"9223372036854775807 9223372036854775808 -9223372036854775809 18446744073709551616 99999999999999999999999 "
    b"1e9 1e30 1e38 1e39 1e300 1e308 -1e308 1e309 1e999 -1e999 1e-320 1e-999 0.5 -0.5 nan -nan inf -inf infinity NaN "
    b"0x10 1_000 1. .5 . + - e 1e 1e+ 0b1 00 1,5 true null ~".split()
) + (b"", b"7" * 5000, b"0." + b"0" * 400 + b"1", "\u0663".encode(), "\u00b2".encode(), b"1 2", b"1\n2")
_INTEGERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
             1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip
_FLOATS = (0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1e-45, 3e38, 1e9, 1e300, -1e308, 5e-324, 0.5)
_BYTES = (
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\x1b",
    b"#",
    b",",
    b";",
    b"\\",
    b"/",
    b'"',
    b"'",
    b"{",
    b"[",
    b"%",
)

Mutate = Callable[[bytes, np.random.Generator], bytes]


def draw(rng: np.random.Generator, count: int) -> int:
    """A whole number below `count`."""
    return int(rng.random() * count)


def choose(rng: np.random.Generator, entries: Sequence[bytes]) -> bytes:
    return entries[draw(rng, len(entries))]


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """A place in the data and one up to 64 bytes behind it, now and then anywhere behind it."""
    start = draw(rng, len(data) + 1)
    length = draw(rng, 64) + 1 if rng.random() < 0.8 else draw(rng, len(data) + 1)
    return start, min(len(data), start + length)


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    place = draw(rng, len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw(rng, 8))]) + data[place + 1 :]


def _set_byte(data: bytes, rng: np.random.Generator) -> bytes:
    place = draw(rng, len(data))
    value = choose(rng, _BYTES) if rng.random() < 0.5 else bytes([draw(rng, 256)])
    return data[:place] + value + data[place + 1 :]


def _set_integer(data: bytes, rng: np.random.Generator) -> bytes:
    width = (1, 2, 4, 8)[draw(rng, 4)]
    value = _INTEGERS[draw(rng, len(_INTEGERS))] & ((1 << (8 * width)) - 1)
    place = draw(rng, len(data))
    if rng.random() < 0.5:
        place -= place % width
    return data[:place] + value.to_bytes(width, "little" if rng.random() < 0.7 else "big") + data[place + width :]


def _set_float(data: bytes, rng: np.random.Generator) -> bytes:
    kind = ("<f4", "<f8", ">f4", ">f8")[draw(rng, 4)]
    with np.errstate(over="ignore"):
        value = np.array(_FLOATS[draw(rng, len(_FLOATS))]).astype(kind).tobytes()
    place = draw(rng, len(data))
    return data[:place] + value + data[place + len(value) :]


def _delete(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    times = (1, 2, 10, 1000)[draw(rng, 4)]
    times = min(times, 1 + LARGEST_BYTES // max(1, end - start))  # the rest would be cut off
    return data[:end] + data[start:end] * times + data[end:]


def _insert(data: bytes, rng: np.random.Generator) -> bytes:
    place = draw(rng, len(data) + 1)
    added = rng.bytes(draw(rng, 16) + 1) if rng.random() < 0.5 else choose(rng, _BYTES) * (1, 2, 100)[draw(rng, 3)]
    return data[:place] + added + data[place:]


def _truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: draw(rng, len(data))]


def _extend(data: bytes, rng: np.random.Generator) -> bytes:
    return data + (b"\0" * draw(rng, 4096) if rng.random() < 0.5 else rng.bytes(draw(rng, 256)))


def _set_number(data: bytes, rng: np.random.Generator) -> bytes:
    return _replace(data, _NUMBER, choose(rng, NUMBERS), rng)


def _drop_word(data: bytes, rng: np.random.Generator) -> bytes:
    return _replace(data, _WORD, b"", rng)


def _replace(data: bytes, pattern: re.Pattern[bytes], new: bytes, rng: np.random.Generator) -> bytes:
    """One match of the pattern replaced; the first kilobyte, where headers are, is as likely as all the rest."""
    matches = list(pattern.finditer(data[: 1 << 10] if rng.random() < 0.5 else data))
    if not matches:
        return _set_byte(data, rng)
    match = matches[draw(rng, len(matches))]
    return data[: match.start()] + new + data[match.end() :]


def _shuffle_lines(data: bytes, rng: np.random.Generator) -> bytes:
    """A line removed, repeated, emptied or exchanged with another."""
    lines = data.split(b"\n")
    first, second = draw(rng, len(lines)), draw(rng, len(lines))
    way = draw(rng, 5)
    if way == 0:
        del lines[first]
    elif way == 1:
        lines.insert(second, lines[first])
    elif way == 2:
        lines[first] = b""
    elif way == 3:
        lines[first : first + 1] = [lines[first]] * 300
    else:
        lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _change_line_ends(data: bytes, rng: np.random.Generator) -> bytes:
    return _LINE_END.sub((b"\r\n", b"\r", b"\n\n", b" ", b"\x0c", b"\x0b", b"\x85")[draw(rng, 7)], data)


_DAMAGE: tuple[Mutate, ...] = (
    _flip, _set_byte, _set_byte, _set_integer, _set_integer, _set_float, _delete, _repeat, _insert, _truncate, _extend,
    _set_number, _set_number, _set_number, _set_number, _drop_word, _shuffle_lines, _shuffle_lines, _change_line_ends,
)  # fmt: skip


def mutate_bytes(samples: Sequence[bytes], words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """One of the samples with one to four pieces of damage, mostly one.

    words: of the format, put in the place of others.
    """
    data = samples[draw(rng, len(samples))]
    for _ in range(1 + int(rng.geometric(0.6)) % 4):
        if not data:
            return data
        way = draw(rng, len(_DAMAGE) + 3)
        if way < len(_DAMAGE):
            data = _DAMAGE[way](data, rng)
        elif way == len(_DAMAGE):
            other = samples[draw(rng, len(samples))]
            data = data[: draw(rng, len(data) + 1)] + other[draw(rng, len(other) + 1) :]
        elif words:
            data = _replace(data, _WORD, choose(rng, words), rng)
    return data[:LARGEST_BYTES]
