"""Solid furniture models: a library of voxel grids with exact occupancy and light watertight meshes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sparse_convonet.data.furniture.pack import SPLITS, PackedVoxels, read_pack
from sparse_convonet.data.furniture.voxel_mesh import mesh_of_voxels

SHIPPED_PACK = Path(__file__).parents[1] / "assets" / "furniture.npz"


@dataclass(frozen=True, eq=False)
class FurnitureModel:
    """One solid piece of furniture in its own frame.

    Frame: metres, z up; z = 0 is the lowest occupied plane, x and y are 0 at the centre of the footprint's bounding
    box, the back (wall side) is at +y.  The solid is where the trilinear interpolation of the voxels (1 at the centre
    of an occupied voxel, 0 at the others) exceeds one half.

    name: unique within its source.  category: "chair", "table", ... (furniture_kinds).  source: the library it is from.
    elevation_m: height of its lowest plane above the floor it was made for; 0 unless it hangs.
    placement: "floor", "top" (of a table or shelf), "wall" or "ceiling".  room: the library's own category.
    """

    name: str
    category: str
    source: str
    voxel_size_m: float
    packed: PackedVoxels
    elevation_m: float = 0.0
    placement: str = "floor"
    room: str = ""
    author: str = ""
    licence: str = ""

    @classmethod
    def from_voxels(
        cls,
        name: str,
        voxels: np.ndarray,
        voxel_size_m: float,
        *,
        category: str = "small",
        source: str = "",
        elevation_m: float = 0.0,
        placement: str = "floor",
    ) -> FurnitureModel:
        """A model of solid voxels (X, Y, Z) bool; every side of the grid should hold at least one."""
        packed = PackedVoxels.pack(voxels)
        return cls(name, category, source, voxel_size_m, packed, elevation_m, placement)

    @cached_property
    def voxels(self) -> np.ndarray:
        """The solid voxels, (X, Y, Z) bool, read-only; unpacked at the first use."""
        return self.packed.unpack()

    @property
    def size_m(self) -> np.ndarray:
        """(3,) float64: width, depth and height of the bounding box, metres."""
        return np.array(self.packed.shape) * self.voxel_size_m

    @property
    def origin_m(self) -> np.ndarray:
        """(3,) float64: the lowest corner of the voxel grid in the model's frame, metres."""
        return np.array([-0.5, -0.5, 0.0]) * self.size_m

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """vertices (V, 3) float64 metres and faces (F, 3) int64, read-only; watertight; made once per process."""
        return self._mesh

    @cached_property
    def _mesh(self) -> tuple[np.ndarray, np.ndarray]:
        vertices, faces = mesh_of_voxels(self.voxels, self.voxel_size_m)
        vertices = vertices * self.voxel_size_m + self.origin_m
        vertices.flags.writeable = False
        faces.flags.writeable = False
        return vertices, faces

    @cached_property
    def _corner_codes(self) -> np.ndarray:
        """(X+1, Y+1, Z+1) uint8: bit 4a+2b+c: is corner (a, b, c) of a cell between voxel centres solid?"""
        padded = np.pad(self.voxels, 1).astype(np.uint8)
        codes = np.zeros(np.array(self.voxels.shape) + 1, dtype=np.uint8)
        for bit in range(8):
            a, b, c = bit >> 2, bit >> 1 & 1, bit & 1
            codes |= padded[a : a + codes.shape[0], b : b + codes.shape[1], c : c + codes.shape[2]] << bit
        return codes

    def contains(self, points_local: np.ndarray) -> np.ndarray:
        """Which points (Q, 3), metres in the model's frame, lie in the solid: (Q,) bool."""
        codes = self._corner_codes
        # Cell i lies between the voxel centres i - 1 and i; its lower corner is at i - 1/2 voxels from the origin.
        scaled = (points_local - self.origin_m) / self.voxel_size_m + 0.5  # (Q, 3)
        inside = np.zeros(len(scaled), dtype=bool)
        near = np.flatnonzero(((scaled > 0) & (scaled < codes.shape)).all(axis=1))
        cells = scaled[near].astype(np.int32)  # positive, so truncation is floor
        code = codes[cells[:, 0], cells[:, 1], cells[:, 2]]
        inside[near[code == 255]] = True
        mixed = (code != 0) & (code != 255)
        fraction = scaled[near[mixed]] - cells[mixed]  # (M, 3) in [0, 1)
        corners = np.unpackbits(code[mixed, None], axis=1, bitorder="little").reshape(-1, 2, 2, 2)
        along_x = corners[:, 0] + (corners[:, 1].astype(np.float64) - corners[:, 0]) * fraction[:, 0, None, None]
        along_y = along_x[:, 0] + (along_x[:, 1] - along_x[:, 0]) * fraction[:, 1, None]
        value = along_y[:, 0] + (along_y[:, 1] - along_y[:, 0]) * fraction[:, 2]
        inside[near[mixed]] = value > 0.5
        return inside


class FurnitureLibrary:
    """Furniture models, split once and for all into "train", "val" and "test" so that no variant is in two splits."""

    def __init__(self, models: tuple[FurnitureModel, ...], splits: tuple[str, ...]) -> None:
        if len(models) != len(splits):
            raise ValueError(f"splits: expected {len(models)}, one per model, found {len(splits)}")
        self.models = models
        self._splits = splits

    @classmethod
    def load(cls, path: Path | None = None) -> FurnitureLibrary:
        """Read a pack made by sparse-convonet data furniture; None reads the pack that is shipped with the package.

        Raises ValueError when the file is no sound pack.
        """
        rows = read_pack(SHIPPED_PACK if path is None else Path(path))
        models = tuple(
            FurnitureModel(
                name=row.name,
                category=row.category,
                source=row.source,
                voxel_size_m=row.voxel_size_m,
                packed=row.packed,
                elevation_m=row.elevation_m,
                placement=row.placement,
                room=row.room,
                author=row.author,
                licence=row.licence,
            )
            for row in rows
        )
        return cls(models, tuple(row.split for row in rows))

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[FurnitureModel]:
        return iter(self.models)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, sorted."""
        return tuple(sorted({model.category for model in self.models}))

    def split(self, name: str) -> FurnitureLibrary:
        """The models of one split: "train", "val" or "test"."""
        if name not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, found {name!r}")
        return self._select([split == name for split in self._splits])

    def of_category(self, *categories: str) -> FurnitureLibrary:
        """The models of these categories; a category that does not occur adds nothing."""
        return self._select([model.category in categories for model in self.models])

    def of_placement(self, *placements: str) -> FurnitureLibrary:
        """The models that stand or hang there: "floor", "top", "wall", "ceiling"."""
        return self._select([model.placement in placements for model in self.models])

    def _select(self, keep: list[bool]) -> FurnitureLibrary:
        models = tuple(model for model, kept in zip(self.models, keep, strict=True) if kept)
        return FurnitureLibrary(models, tuple(split for split, kept in zip(self._splits, keep, strict=True) if kept))
