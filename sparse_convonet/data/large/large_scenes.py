"""Large scenes of many kinds, beside rooms and small buildings: floors, walls and facades with little near them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.large_halls import make_corridor, make_hall
from sparse_convonet.data.large.open_ground import make_open_ground, make_roofless_storey
from sparse_convonet.data.large.outside import make_lone_wall, make_outside
from sparse_convonet.data.large.tall_halls import make_atrium, make_church
from sparse_convonet.data.scenes.scene import Scene

# Kind: its share of the scenes and what makes it.
LARGE_KINDS: dict[str, tuple[float, Callable[[np.random.Generator, Stock], Scene]]] = {
    "hall": (0.36, make_hall),
    "church": (0.07, make_church),
    "atrium": (0.09, make_atrium),
    "corridor": (0.1, make_corridor),
    "open ground": (0.13, make_open_ground),
    "roofless storey": (0.09, make_roofless_storey),
    "outside": (0.11, make_outside),
    "lone wall": (0.05, make_lone_wall),
}


def large_scene_kind(seed: int) -> str:
    """The kind, a key of LARGE_KINDS, of the scene that `make_large_scene` makes of the seed."""
    return _draw_kind(np.random.default_rng(seed))


def make_large_scene(seed: int, library: FurnitureLibrary) -> Scene:
    """A large scene of a kind drawn by the seed; a function of its arguments alone; world metres, z up, floor near 0."""
    rng = np.random.default_rng(seed)
    make = LARGE_KINDS[_draw_kind(rng)][1]
    return make(rng, Stock.of(library))


def _draw_kind(rng: np.random.Generator) -> str:
    shares = np.array([share for share, _ in LARGE_KINDS.values()])
    return str(rng.choice(list(LARGE_KINDS), p=shares / shares.sum()))
