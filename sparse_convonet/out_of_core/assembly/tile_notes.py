"""Stage out_of_core: arrays kept beside the meshes of tiles from pass to pass, and from a killed run to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder, load_arrays, save_arrays
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.tile_grid import TileName


class PointsInBox(Protocol):
    """points_world: (M, 3) float64, metres, z up.  colours: (M, 3) uint8 or None.  scanners_world: (M, 3) or None."""

    @property
    def points_world(self) -> np.ndarray: ...

    @property
    def colours(self) -> np.ndarray | None: ...

    @property
    def scanners_world(self) -> np.ndarray | None: ...


class PointSource(Protocol):
    """The points of a scan: how many, whether coloured and with scanners, their extremes (3,), those of a box,
    low <= p < high, and all of them part by part."""

    @property
    def count(self) -> int: ...

    @property
    def has_colours(self) -> bool: ...

    @property
    def has_scanners(self) -> bool: ...

    @property
    def low(self) -> np.ndarray: ...

    @property
    def high(self) -> np.ndarray: ...

    def within(self, low: np.ndarray, high: np.ndarray) -> PointsInBox: ...

    def parts(self) -> Iterator[PointsInBox]: ...


@dataclass(frozen=True)
class TileNotes:
    """One file of arrays for each tile.  tag: of what they depend on; files with another one count as missing."""

    folder: TileFolder
    file: str
    tag: str

    def has(self, name: TileName) -> bool:
        if not self.folder.has(name, self.file):
            return False
        return str(load_arrays(self.folder.path(name, self.file), "tag")["tag"]) == self.tag

    def write(self, name: TileName, arrays: dict[str, np.ndarray]) -> None:
        save_arrays(self.folder.path(name, self.file), {"tag": np.array(self.tag), **arrays})

    def read(self, name: TileName, *fields: str) -> list[np.ndarray]:
        found = load_arrays(self.folder.path(name, self.file), *fields)
        return [found[field] for field in fields]


def tag_of(*parts: object) -> str:
    """A name for what notes depend on: numbers, text, None and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        plain = isinstance(part, np.ndarray)
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else json.dumps(part).encode("utf-8"))
        digest.update(b"array" if plain else b"plain")
    return digest.hexdigest()[:32]


def tiles_within(name: TileName, reach: Sequence[int]) -> Iterator[TileName]:
    """The tiles at most so many tiles away along each axis, the tile itself among them, in order."""
    for x, y, z in product(*(range(-rings, rings + 1) for rings in reach)):
        yield name[0] + x, name[1] + y, name[2] + z


def lower_neighbours(name: TileName) -> Iterator[TileName]:
    """The tile itself and the seven before it along the axes, in order: those that use vertices that it owns."""
    for x, y, z in product((-1, 0), repeat=3):
        yield name[0] + x, name[1] + y, name[2] + z


def reporting(progress: Progress, stage: str, names: Sequence[TileName]) -> Iterator[TileName]:
    """The tiles, one after the other, with the share done told after each."""
    progress(stage, 0.0)
    for number, name in enumerate(names):
        yield name
        progress(stage, (number + 1) / len(names))
