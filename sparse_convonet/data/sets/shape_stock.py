"""Watertight shapes by class and split, for the papers' rooms: from the furniture pack, or from ShapeNet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.furniture.library import FurnitureLibrary, FurnitureModel
from sparse_convonet.data.furniture.pack import SPLITS

# ShapeNet's synsets and names of the five classes, in the order in which semantics count them.
CLASSES = {
    "02933112": "cabinet",
    "03001627": "chair",
    "03636649": "lamp",
    "04256520": "sofa",
    "04379243": "table",
}
# Which pieces of the pack stand for them.  Lamps stand on the ground whatever they were made for, as ShapeNet's do.
_PACK_CATEGORIES = {
    "02933112": ("storage",),
    "03001627": ("chair",),
    "03636649": ("lamp",),
    "04256520": ("sofa",),
    "04379243": ("table", "desk"),
}
_SHAPES_REMEMBERED = 256


class SolidShape(Protocol):
    """A closed surface with an inside, in its own frame: y up, any unit.

    vertices: (V, 3) float64.  faces: (F, 3) int64, counter-clockwise from outside.
    """

    @property
    def vertices(self) -> np.ndarray: ...

    @property
    def faces(self) -> np.ndarray: ...

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (Q, 3), in the shape's frame, lie inside: (Q,) bool."""
        ...


class ShapeStock(Protocol):
    """Where the shapes of rooms come from."""

    def names(self, synset: str, split: str) -> tuple[str, ...]:
        """The shapes of a class and a split, always in the same order."""
        ...

    def load(self, synset: str, name: str) -> SolidShape: ...


class RememberedStock:
    """Another stock, of which the last shapes loaded are kept."""

    def __init__(self, stock: ShapeStock) -> None:
        self.names = stock.names
        self.load = lru_cache(maxsize=_SHAPES_REMEMBERED)(stock.load)


@dataclass(frozen=True, eq=False)
class PackShape:
    """A piece of the furniture pack: exact occupancy by its voxels."""

    model: FurnitureModel

    @cached_property
    def vertices(self) -> np.ndarray:
        return self.model.mesh()[0] @ up_rotation("y")  # from z up to y up

    @property
    def faces(self) -> np.ndarray:
        return self.model.mesh()[1]

    def contains(self, points: np.ndarray) -> np.ndarray:
        return self.model.contains(points @ up_rotation("y").T)


class PackStock:
    """The shapes of a furniture pack.  Raises ValueError where a class has no piece in a split."""

    def __init__(self, library: FurnitureLibrary) -> None:
        self._models: dict[tuple[str, str], dict[str, FurnitureModel]] = {}
        for split in SPLITS:
            part = library.split(split)
            for synset, categories in _PACK_CATEGORIES.items():
                pieces = {f"{model.source}/{model.name}": model for model in part.of_category(*categories)}
                if not pieces:
                    raise ValueError(
                        f"furniture pack: expected a {CLASSES[synset]} in the split {split}, found none; "
                        "make a larger pack with sparse-convonet data furniture"
                    )
                self._models[synset, split] = pieces
        self.load = lru_cache(maxsize=_SHAPES_REMEMBERED)(self._load)

    def names(self, synset: str, split: str) -> tuple[str, ...]:
        return tuple(self._models[synset, split])

    def _load(self, synset: str, name: str) -> SolidShape:
        for split in SPLITS:
            if name in self._models[synset, split]:
                return PackShape(self._models[synset, split][name])
        raise ValueError(f"furniture pack: expected a {CLASSES[synset]}, found no {name!r}")
