"""Features of the cells of a tile on disk, of which a box can be read without the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sparse_convonet.coordinates import unpack_keys
from sparse_convonet.out_of_core.tiles.tile_folder import load_arrays
from sparse_convonet.runtime.atomic import atomic_paths
from sparse_convonet.tile_grid import TiledRows, TileGrid

_BLOCK_CELLS = 16  # edge of the blocks in which the rows of a file stand together
_SKIPPED_ROWS = 256  # rather read than skipped, since every read takes time as well


@dataclass(frozen=True)
class CellFeatures:
    """Cells of one stride: keys (V,) int64 ascending (coordinates.pack_keys), features (V, C) float32."""

    keys: np.ndarray
    features: np.ndarray


def save_cells(place: Path, stride: int, cells: CellFeatures) -> None:
    """Write two files, whose names begin with that of `place`."""
    positions = _positions(cells.keys)
    rows = TiledRows(positions, TileGrid((0, 0, 0), (_BLOCK_CELLS * stride,) * 3))
    order = np.concatenate([rows.of(name) for name in rows.occupied()]) if len(positions) else rows.of((0, 0, 0))
    with atomic_paths([_features(place), _keys(place)]) as (features_path, keys_path):
        with features_path.open("wb") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(cells.features[order]), allow_pickle=False)
        with keys_path.open("wb") as file:
            np.savez(file, keys=cells.keys[order], stride=np.int64(stride))


def has_cells(place: Path) -> bool:
    """Whether `save_cells` has written there."""
    return _keys(place).is_file()


def remove_cells(place: Path) -> None:
    """Take away what `save_cells` has written."""
    _keys(place).unlink(missing_ok=True)
    _features(place).unlink(missing_ok=True)


def cell_keys(place: Path) -> np.ndarray:
    """(V,) int64 keys of what `save_cells` has written, in no order."""
    return load_arrays(_keys(place), "keys")["keys"]


def load_all_cells(place: Path) -> CellFeatures:
    """All cells of one file."""
    keys = cell_keys(place)
    order = np.argsort(keys)
    features = np.load(_features(place), allow_pickle=False)
    return CellFeatures(keys[order], features[order])


def load_cells(places: Sequence[Path], low: np.ndarray, high: np.ndarray) -> CellFeatures:
    """The cells of several files, each cell in one of them, that reach into a box of voxels, low <= v < high."""
    parts = [_load(place, low, high) for place in places]
    if not parts:
        return CellFeatures(np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32))
    keys = np.concatenate([part.keys for part in parts])
    order = np.argsort(keys)
    features = np.empty((len(keys), parts[0].features.shape[1]), dtype=np.float32)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    begin = 0
    while parts:
        part = parts.pop(0)
        features[rank[begin : begin + len(part.keys)]] = part.features
        begin += len(part.keys)
    return CellFeatures(keys[order], features)


def _load(place: Path, low: np.ndarray, high: np.ndarray) -> CellFeatures:
    found = load_arrays(_keys(place))
    keys, stride = found["keys"], int(found["stride"])
    positions = _positions(keys)
    rows = np.flatnonzero(((positions + stride > low) & (positions < high)).all(axis=1))
    with _features(place).open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, kind = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    features = np.empty((len(rows), shape[1]), dtype=np.float32)
    breaks = np.flatnonzero(np.diff(rows) > _SKIPPED_ROWS) + 1
    done = 0
    for run in np.split(rows, breaks) if len(rows) else []:
        first, count = int(run[0]), int(run[-1] - run[0]) + 1
        offset = start + first * shape[1] * kind.itemsize
        read = np.fromfile(_features(place), dtype=kind, count=count * shape[1], offset=offset).reshape(count, -1)
        features[done : done + len(run)] = read[run - first]
        done += len(run)
    return CellFeatures(keys[rows], features)


def _positions(keys: np.ndarray) -> np.ndarray:
    """(V, 3) int64 lowest corners of cells, voxels."""
    return unpack_keys(torch.from_numpy(keys)).numpy()[:, 1:]


def _keys(place: Path) -> Path:
    return place.with_name(f"{place.name}.npz")


def _features(place: Path) -> Path:
    return place.with_name(f"{place.name}.npy")
