"""Read point clouds from text: .xyz, .txt, .csv, .pts, one point per line."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import numpy as np

from sparse_convonet.io.columns import cloud_from_columns
from sparse_convonet.io.number_text import is_number, parse_table
from sparse_convonet.io.refusals import damaged, require_points, unreadable
from sparse_convonet.structures import PointCloud

logger = logging.getLogger(__name__)

_COMMENTS = ("#", "//", "%", "!")


def read_text(path: Path) -> PointCloud:
    """Points from a text file, separated by white space, commas or semicolons.

    The first line may name the columns or, as in .pts, give the count.  Without names the columns are x y z, then
    what their values say: three of 0 to 255 are colours, three of unit length normals, a single one in front
    (intensity) is left out.  Raises ValueError naming the line that does not fit.
    """
    content = path.read_bytes()
    if b"\0" in content[:65536]:
        raise unreadable(path, "a text file with one point per line", "binary data")
    text = content.decode("utf-8-sig", errors="replace")
    if "\n" not in text:
        text = text.replace("\r", "\n")  # line ends of old Macs
    skipped, names, separator = _inspect(path, text)
    table = _read_table(path, text, skipped, separator)
    require_points(path, len(table))
    if table.shape[1] < 3:
        raise unreadable(path, "at least three numbers per line", f"{table.shape[1]}")
    _check_count(path, text, skipped, len(table))
    return cloud_from_columns(path, _name_columns(table, names))


def _read_table(path: Path, text: str, skipped: int, separator: str | None) -> np.ndarray:
    """(N, columns) float64 from the lines after the first `skipped`."""
    body = text.split("\n", skipped)[-1]
    table = parse_table(body.encode("utf-8"), separator)
    if table is not None:
        return table
    try:  # comments between the points, or an error, whose line is looked for
        return np.loadtxt(io.StringIO(body), delimiter=separator, comments="#", ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise _locate(path, text, skipped, separator) or damaged(path, "one point per line", error) from error


def _split(line: str, separator: str | None) -> list[str]:
    return [word.strip() for word in line.split(separator)]


def _inspect(path: Path, text: str) -> tuple[int, list[str] | None, str | None]:
    """(lines before the first point, names of the columns or None, separator or None for white space)."""
    names: list[str] | None = None
    named_in_comment = counted = has_title = False
    for number, line in enumerate(io.StringIO(text)):
        is_comment = line.lstrip().startswith(_COMMENTS)
        content = line.strip().lstrip("#/%! ") if is_comment else line.split("#")[0].strip()
        separator = next((mark for mark in ";," if mark in content), None)
        words = _split(content, separator)
        if not content:
            continue
        if {"x", "y", "z"} <= set(_plain_names(content)):
            names, named_in_comment = _plain_names(content), is_comment
        elif is_comment:
            continue
        elif all(is_number(word) for word in words):
            if len(words) == 1 and not counted:
                counted = True  # .pts and .xyz files may begin with their count
                continue
            if names is not None and len(names) != len(words):
                if not named_in_comment:
                    found = f"{len(words)} in line {number + 1}"
                    raise unreadable(path, f"{len(names)} numbers as its header names", found)
                names = None  # a remark that happens to mention x, y and z
            return number, names, separator
        elif has_title or counted or names is not None or is_number(words[0]) or not any(map(str.isalpha, content)):
            bad = next(word for word in words if not is_number(word))
            raise unreadable(path, f"numbers in line {number + 1}", repr(bad[:40]))
        else:
            has_title = True  # names other than x, y, z: the first three columns are taken for them
            logger.info("%s: left out the title %r", path, content[:80])
    raise ValueError(f"{path}: expected at least one point, found none; export the scan again")


def _plain_names(line: str) -> list[str]:
    """Names of columns in lower case, without quotes, slashes and units: 'X [m]' and '"x(m)"' both name x."""
    plain = re.sub(r"[\[(][^\])]*[\])]", "", line.lower())
    separator = next((mark for mark in ";," if mark in plain), None)
    return [word.strip("\"'/# ") for word in _split(plain, separator)]


def _locate(path: Path, text: str, skipped: int, separator: str | None) -> ValueError | None:
    """The error for the first line that is not as wide as the first point or holds a word."""
    width = 0
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#")[0].strip()
        if number <= skipped or not content:
            continue
        words = _split(content, separator)
        width = width or len(words)
        bad = next((word for word in words if not is_number(word)), None)
        if bad is not None:
            return unreadable(path, f"numbers in line {number}", repr(bad[:40]))
        if len(words) != width:
            return unreadable(path, f"{width} numbers in line {number}", f"{len(words)}")
    return None


def _check_count(path: Path, text: str, skipped: int, count: int) -> None:
    """A .pts file that says how many points follow must hold as many (else it is truncated)."""
    if skipped == 0:
        return
    first = text.split("\n", 1)[0].strip()
    if first.isdecimal() and int(first) != count:
        raise unreadable(path, f"{first} points as its first line says", f"{count}")


def _name_columns(table: np.ndarray, names: list[str] | None) -> dict[str, np.ndarray]:
    """Columns by name; without a header the names are guessed from the values."""
    if names is not None:
        return {name: table[:, index] for index, name in enumerate(names)}
    columns = {name: table[:, index] for index, name in enumerate("xyz")}
    rest = list(range(3, table.shape[1]))
    if len(rest) % 3 == 1:
        rest = rest[1:]  # x y z intensity ...
    for start in range(0, len(rest) - 2, 3):
        block = table[:, rest[start : start + 3]]
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.linalg.norm(block, axis=1)
        if "nx" not in columns and np.all(np.abs(lengths - 1) < 0.02):
            columns |= {name: block[:, index] for index, name in enumerate(("nx", "ny", "nz"))}
        elif "red" not in columns and block.min() >= 0 and block.max() <= 255:
            columns |= {name: block[:, index] for index, name in enumerate(("red", "green", "blue"))}
    return columns


def write_text(path: Path, cloud: PointCloud) -> None:
    """One line per point: x y z, then colours and normals where present; the first line names them."""
    names, blocks, formats = ["x", "y", "z"], [cloud.points], ["%.17g"] * 3  # 17 digits give back every double
    if cloud.colours is not None:
        names, blocks, formats = [*names, "red", "green", "blue"], [*blocks, cloud.colours], [*formats, *["%d"] * 3]
    if cloud.normals is not None:
        names, blocks, formats = [*names, "nx", "ny", "nz"], [*blocks, cloud.normals], [*formats, *["%.7g"] * 3]
    np.savetxt(path, np.concatenate(blocks, axis=1), fmt=formats, header=" ".join(names), encoding="ascii")
