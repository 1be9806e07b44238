"""What the search of a tile knows, as files: all of it, and apart from that what the tiles around it need."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.tile_search import NO_CELLS, NO_KEYS, LevelState, TileState
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder, load_arrays, save_arrays
from sparse_convonet.tile_grid import TileName

SEARCH, BORDER = "search.npz", "border.npz"


@dataclass(frozen=True)
class TileBorder:
    """What tiles around a searched one need: TileState's border_keys and leaving, and logits of points on borders.

    point_keys: (K,) int64, of lattice points.  logits: (K,) float32.
    """

    border_keys: list[np.ndarray]
    leaving: list[np.ndarray]
    point_keys: np.ndarray
    logits: np.ndarray

    @classmethod
    def nothing(cls, levels: int) -> TileBorder:
        """That of a tile that was not searched."""
        empty = [NO_KEYS] * (levels + 1)
        return cls(empty, [NO_CELLS] * (levels + 1), NO_KEYS, np.zeros(0, dtype=np.float32))


def save_search(
    folder: TileFolder, name: TileName, seeds: np.ndarray, state: TileState, point_keys: np.ndarray, logits: np.ndarray
) -> None:
    """Keep a search.  seeds: (S, 3) int64 seed cells of its space; the rest as in TileState and TileBorder."""
    levels = {
        f"{part}{number}": getattr(level, part)
        for number, level in enumerate(state.levels)
        for part in ("keys", "masks", "logits")
    }
    around = {
        f"{part}{number}": array
        for part in ("border_keys", "leaving")
        for number, array in enumerate(getattr(state, part))
    }
    known = {"point_keys": point_keys, "point_logits": logits}
    save_arrays(folder.path(name, SEARCH), {"seeds": seeds, **levels, **around, **known})
    save_arrays(folder.path(name, BORDER), {**around, **known})


def load_search(folder: TileFolder, name: TileName, levels: int) -> tuple[np.ndarray, TileState, TileBorder] | None:
    """The seeds, the state and the border of a tile's search; None where there was none.  levels: halvings."""
    if not folder.has(name, SEARCH):
        return None
    found = load_arrays(folder.path(name, SEARCH))
    border = _border(found, levels)
    states = [LevelState(*(found[f"{part}{n}"] for part in ("keys", "masks", "logits"))) for n in range(levels + 1)]
    return found["seeds"], TileState(states, border.border_keys, border.leaving), border


def load_border(folder: TileFolder, name: TileName, levels: int) -> TileBorder:
    """That of a tile, which may have none."""
    if not folder.has(name, BORDER):
        return TileBorder.nothing(levels)
    return _border(load_arrays(folder.path(name, BORDER)), levels)


def tiles_around(name: TileName) -> list[TileName]:
    """The 26 tiles around one."""
    steps = itertools.product((-1, 0, 1), repeat=3)
    return [(name[0] + x, name[1] + y, name[2] + z) for x, y, z in steps if (x, y, z) != (0, 0, 0)]


def _border(found: dict[str, np.ndarray], levels: int) -> TileBorder:
    border_keys, leaving = (
        [found[f"{part}{number}"] for number in range(levels + 1)] for part in ("border_keys", "leaving")
    )
    return TileBorder(border_keys, leaving, found["point_keys"], found["point_logits"])
