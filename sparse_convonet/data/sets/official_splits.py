"""The published lists of which scan belongs to which split: one name per line, one file per split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.data.convonet.layout import read_split

SPLITS = ("train", "val", "test")
_SPLIT_IN_NAME = re.compile(r"(?:.*[-_.])?(train|val|test)\.(?:txt|lst)")


@dataclass(frozen=True)
class OfficialSplits:
    """files: the lists that were found, one per split.  split_of: the split of each scan on them."""

    files: tuple[Path, ...]
    split_of: dict[str, str]

    def split(self, scan: str) -> str | None:
        """The split of a scan, None where it is on no list; without any list, everything is for testing."""
        return self.split_of.get(scan) if self.files else "test"


def find_splits(pattern: str, places: Iterable[Path]) -> OfficialSplits:
    """The lists of the first folder that has any; pattern: their name, with {} for the split."""
    for place in places:
        files = [place / pattern.format(split) for split in SPLITS]
        existing = [file for file in files if file.is_file()]
        if existing:
            return read_splits(existing)
    return OfficialSplits((), {})


def named_splits(pattern: str, given: Sequence[Path]) -> OfficialSplits:
    """The lists a user names: a folder with lists called as the published ones, or files ending in train, val, test.

    Raises ValueError where there are none.
    """
    folders = [path for path in given if path.is_dir()]
    if folders and len(given) == 1:
        found = find_splits(pattern, folders)
        if not found.files:
            expected = ", ".join(pattern.format(split) for split in SPLITS)
            raise ValueError(f"{folders[0]}: expected lists ({expected}), found none of them; name another folder")
        return found
    return read_splits(given)


def read_splits(files: Sequence[Path]) -> OfficialSplits:
    """Lists whose names end in train, val or test.  Raises ValueError for others, and for a scan on two lists."""
    split_of: dict[str, str] = {}
    for file in files:
        match = _SPLIT_IN_NAME.fullmatch(file.name)
        if match is None:
            raise ValueError(f"{file}: expected a list named ..._train.txt, ..._val.txt or ..._test.txt; rename it")
        for name in read_split(file):
            if split_of.setdefault(name, match[1]) != match[1]:
                raise ValueError(
                    f"{file}: expected each scan on one list, found {name} on {split_of[name]} and {match[1]}; "
                    "correct the lists"
                )
    return OfficialSplits(tuple(files), split_of)
