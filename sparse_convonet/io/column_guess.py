"""What the columns of a table without names are, as far as their values tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io.column_names import COLOUR, NORMAL, POSITION
from sparse_convonet.runtime.refusals import one_line

_UNIT_LENGTH = 0.02  # how far a normal may be from it
_BYTE, _WIDE = 255, 65535
_LEAST_COUNTED, _LEAST_LABELLED = 100, 1000  # rows from which a count or classes can be told
_LABELS = 31  # classes at most
_LABEL_COST, _CLEARLY = 1.0, 0.1  # of the distances between columns, see ColumnEvidence.distance


class ColumnEvidence:
    """What all rows of a table say of its columns; tables of rows are added one after the other."""

    def __init__(self, first: np.ndarray) -> None:
        """first: (n, columns) float64, the first rows, which are not added yet."""
        self.width = first.shape[1]
        self._shift = np.nan_to_num(first[0], nan=0.0, posinf=0.0, neginf=0.0)
        self.rows = 0
        self.whole = np.ones(self.width, dtype=bool)
        self.unit = np.ones(max(0, self.width - 2), dtype=bool)  # of the triple that begins here; NaN aside
        self.low, self.high = np.full(self.width, np.inf), np.full(self.width, -np.inf)
        self._sums, self._squares = np.zeros(self.width), np.zeros(self.width)
        self._products = np.zeros(max(0, self.width - 1))  # of neighbours
        self.ascends, self._last = True, -np.inf  # the first column, which then may be a time
        self._counts, self._next = first[0, 0] in (0, 1), float(first[0, 0])

    def add(self, table: np.ndarray) -> None:
        """More rows, (n, columns) float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            missing = np.isnan(table)  # which says nothing
            self.whole &= ((table == np.floor(table)) | missing).all(axis=0)
            squares = table * table
            lengths = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
            self.unit &= ((np.abs(np.sqrt(lengths) - 1) < _UNIT_LENGTH) | np.isnan(lengths)).all(axis=0)
            self.low = np.fmin(self.low, np.fmin.reduce(table, axis=0))
            self.high = np.fmax(self.high, np.fmax.reduce(table, axis=0))
            moved = np.where(missing, 0, table - self._shift)
            self._sums += moved.sum(axis=0)
            self._squares += (moved * moved).sum(axis=0)
            self._products += (moved[:, :-1] * moved[:, 1:]).sum(axis=0)
            self._counts &= bool(np.array_equal(table[:, 0], self._next + np.arange(len(table))))
            first = np.concatenate([[self._last], table[:, 0]])
            self.ascends &= bool((first[1:] >= first[:-1]).all())
        self._next += len(table)
        self._last = float(table[-1, 0]) if len(table) else self._last
        self.rows += len(table)

    @property
    def is_counted(self) -> bool:
        """Whether the first column numbers the rows."""
        return self._counts and self.rows >= _LEAST_COUNTED

    @property
    def may_be_time(self) -> bool:
        """Whether the first column never falls."""
        return self.ascends and self.rows >= _LEAST_COUNTED

    def distance(self, column: int) -> float:
        """How differently a column and the next one vary: 0 alike, 0.7 without connection, 1 where only one varies."""
        pair = slice(column, column + 2)  # others may hold numbers whose squares are infinite
        means = self._sums[pair] / self.rows
        one, other = np.maximum(self._squares[pair] / self.rows - means**2, 0)
        covariance = self._products[column] / self.rows - means[0] * means[1]
        spread = np.sqrt(one) + np.sqrt(other)
        return float(np.sqrt(max(one + other - 2 * covariance, 0)) / spread) if spread > 0 else 0.0

    def may_be_labels(self, column: int) -> bool:
        """Whether there are but few small whole numbers: classes."""
        return bool(self.rows >= _LEAST_LABELLED and self.whole[column] and 0 < self.high[column] <= _LABELS)

    def colour_kind(self, first: int) -> str:
        """How three columns from `first` on may be colours: 'byte', 'wide' (16 bits), 'fraction' (up to 1), or ''."""
        part = slice(first, first + 3)
        low, high, whole = self.low[part], self.high[part], self.whole[part]
        if not np.all(low >= 0) or not np.all(np.isfinite(low)):  # infinite where all are missing
            return ""
        if whole.all():
            return "byte" if high.max() <= _BYTE else "wide" if high.max() <= _WIDE and high.min() > _BYTE else ""
        return "fraction" if high.max() <= 1 else ""


@dataclass(frozen=True)
class _Triple:
    first: int
    kind: str
    cost: float


def guessed_names(path: Path, evidence: ColumnEvidence, first_line: str) -> list[str]:
    """For each column what it is, as column_names.known_names says it.

    x y z come first, behind a number of the row where there is one.  Three columns of unit length are normals, three
    that vary together and lie in 0 to 255, 0 to 65535 or 0 to 1 colours.
    path, first_line: for messages.  Raises ValueError where the values do not tell.
    """
    width = evidence.width
    start = 1 if evidence.is_counted and width > 3 else 0
    names = [""] * width
    names[start : start + 3] = POSITION
    if start == 0 and (evidence.whole[0] or evidence.may_be_time) and _has_position_behind(evidence):
        raise _undecided(path, width, first_line)
    free = range(start + 3, width - 2)
    normal = next((first for first in free if evidence.unit[first]), None)
    if normal is not None:
        names[normal : normal + 3] = NORMAL
    triples = [
        _Triple(first, evidence.colour_kind(first), _cost(evidence, first))
        for first in free
        if evidence.colour_kind(first) and not any(names[first : first + 3]) and _labels(evidence, first) < 2
    ]
    if any(triple.kind != "fraction" for triple in triples):  # fractions beside whole numbers are something else
        triples = [triple for triple in triples if triple.kind != "fraction"]
    triples.sort(key=lambda each: each.cost)
    if len(triples) > 1 and triples[1].cost - triples[0].cost < _CLEARLY:
        raise _undecided(path, width, first_line)
    if triples:
        names[triples[0].first : triples[0].first + 3] = COLOUR
    elif normal is None and len(free) > 0:
        raise _undecided(path, width, first_line)
    return names


def _has_position_behind(evidence: ColumnEvidence) -> bool:
    """Whether three columns of fractions stand behind one or two others, such as an intensity, or a row and a column."""
    return any(evidence.width >= first + 3 and not evidence.whole[first : first + 3].any() for first in (1, 2))


def _cost(evidence: ColumnEvidence, first: int) -> float:
    """Of taking three columns for colours, whose channels vary together."""
    return evidence.distance(first) + evidence.distance(first + 1) + _LABEL_COST * _labels(evidence, first)


def _labels(evidence: ColumnEvidence, first: int) -> int:
    """How many of three columns may be classes."""
    return sum(evidence.may_be_labels(column) for column in range(first, first + 3))


def _undecided(path: Path, width: int, first_line: str) -> ValueError:
    return ValueError(
        f"{path}: expected names of its {width} columns, or values that tell what they are, found "
        f"{one_line(first_line, 80)!r} in its first line; say --columns x,y,z,... with r,g,b, nx,ny,nz, - for the others"
    )
