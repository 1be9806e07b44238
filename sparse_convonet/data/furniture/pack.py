"""The furniture pack on disk: one compressed npz without pickled objects, the same bytes for the same models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive
from sparse_convonet.runtime.refusals import one_line

FORMAT = "sparse_convonet furniture 1"
SPLITS = ("train", "val", "test")
PLACEMENTS = ("floor", "top", "wall", "ceiling")
_TEXTS = ("name", "category", "source", "author", "licence", "room", "placement", "split")
_NUMBERS = {
    "voxel_size_m": np.float64,
    "elevation_m": np.float64,
    "shape": np.int32,  # (M, 3)
    "bits": np.uint8,  # the voxels of all models, one after the other
}
_LARGEST_SIDE_VOXELS = 1000
_NPY_MAGIC = b"\x93NUMPY"
_SURROGATES = (0xD800, 0xDFFF)


@dataclass(frozen=True)
class PackedVoxels:
    """Solid voxels (X, Y, Z) bool in C order, eight to a byte."""

    shape: tuple[int, int, int]
    bits: np.ndarray  # (ceil(X * Y * Z / 8),) uint8

    @classmethod
    def pack(cls, voxels: np.ndarray) -> PackedVoxels:
        """Pack (X, Y, Z) bool."""
        if voxels.ndim != 3 or voxels.dtype != bool or not voxels.any():
            raise ValueError(
                f"voxels: expected a bool array (X, Y, Z) with something in it, found {voxels.dtype} {voxels.shape}"
            )
        return cls((voxels.shape[0], voxels.shape[1], voxels.shape[2]), np.packbits(voxels.reshape(-1)))

    def unpack(self) -> np.ndarray:
        """(X, Y, Z) bool, read-only."""
        count = int(np.prod(self.shape))
        voxels = np.unpackbits(self.bits, count=count).view(bool).reshape(self.shape)
        voxels.flags.writeable = False
        return voxels


@dataclass(frozen=True)
class PackedModel:
    """One row of the pack; the texts are described at FurnitureModel."""

    name: str
    category: str
    source: str
    author: str
    licence: str
    room: str
    placement: str
    split: str
    voxel_size_m: float
    elevation_m: float
    packed: PackedVoxels


def write_pack(path: Path, models: Sequence[PackedModel]) -> None:
    """Write the models, in their order, to an npz file.  Raises ValueError when there are none."""
    if not models:
        raise ValueError(f"{path}: expected at least one furniture model to write, found none")
    arrays: dict[str, np.ndarray] = {"format": np.array(FORMAT)}
    for key in _TEXTS:
        arrays[key] = np.array([getattr(model, key) for model in models], dtype=np.str_)
    arrays["voxel_size_m"] = np.array([model.voxel_size_m for model in models], dtype=np.float64)
    arrays["elevation_m"] = np.array([model.elevation_m for model in models], dtype=np.float64)
    arrays["shape"] = np.array([model.packed.shape for model in models], dtype=np.int32)
    arrays["bits"] = np.concatenate([model.packed.bits for model in models])
    with open(path, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_pack(path: Path) -> tuple[PackedModel, ...]:
    """Read and check a pack; voxels stay packed.  Raises ValueError when the file is not a sound pack."""
    arrays = _read_arrays(path)
    _check_arrays(path, arrays)
    byte_ends = np.cumsum(-(-np.prod(arrays["shape"].astype(np.int64), axis=1) // 8))
    bits = np.split(arrays["bits"], byte_ends[:-1])
    models = []
    for row, shape in enumerate(arrays["shape"].tolist()):
        models.append(
            PackedModel(
                **{key: str(arrays[key][row]) for key in _TEXTS},
                voxel_size_m=float(arrays["voxel_size_m"][row]),
                elevation_m=float(arrays["elevation_m"][row]),
                packed=PackedVoxels((shape[0], shape[1], shape[2]), bits[row]),
            )
        )
    return tuple(models)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    keys = ("format", *_TEXTS, *_NUMBERS)
    with path.open("rb") as file:
        is_single = file.read(len(_NPY_MAGIC)) == _NPY_MAGIC
    try:
        if is_single:
            raise ValueError("it is one array, not an npz archive")
        with ArrayArchive(path) as archive:
            missing = [key for key in keys if key not in archive]
            if missing:
                raise ValueError(f"the arrays {', '.join(missing)} are missing")
            return {key: archive.read(key) for key in keys}
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ").split(";")[0]
        raise ValueError(
            f"{path}: expected a furniture pack, but it cannot be read ({reason}); make one with sparse-convonet data "
            "furniture"
        ) from error


def _is_text(array: np.ndarray) -> bool:
    """Whether all letters of an array of texts are letters, and not just any 32 bits."""
    codes = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint32)
    return bool(((codes <= sys.maxunicode) & ((codes < _SURROGATES[0]) | (codes > _SURROGATES[1]))).all())


def _check_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    def require(condition: bool, what: str) -> None:
        if not condition:
            raise ValueError(
                f"{path}: not a sound furniture pack: {what}; make it again with sparse-convonet data furniture"
            )

    texts = ("format", *_TEXTS)
    require(all(arrays[key].dtype.kind == "U" and _is_text(arrays[key]) for key in texts), f"expected texts in {texts}")
    found = str(arrays["format"])
    require(found == FORMAT, f"expected format {FORMAT!r}, found {one_line(found, 60)!r}")
    rows = len(arrays["name"]) if arrays["name"].ndim == 1 else 0
    require(rows > 0, "it holds no models")
    for key in _TEXTS:
        array = arrays[key]
        require(array.shape == (rows,) and array.dtype.kind == "U", f"{key}: expected {rows} texts")
    for key, kind in _NUMBERS.items():
        array = arrays[key]
        expected = {"shape": (rows, 3), "bits": (array.size,)}.get(key, (rows,))
        require(array.shape == expected and array.dtype == kind, f"{key}: found {array.dtype} {array.shape}")
    shapes = arrays["shape"].astype(np.int64)
    require(bool(((shapes >= 1) & (shapes <= _LARGEST_SIDE_VOXELS)).all()), "a model has an impossible shape")
    expected_bytes, found_bytes = int((-(-np.prod(shapes, axis=1) // 8)).sum()), len(arrays["bits"])
    require(expected_bytes == found_bytes, f"expected {expected_bytes} voxel bytes, found {found_bytes}")
    counts = np.prod(shapes, axis=1)
    ends = np.cumsum(-(-counts // 8))
    used = arrays["bits"].copy()
    used[ends - 1] &= (0xFF << (-counts % 8) & 0xFF).astype(np.uint8)  # the rest of a last byte belongs to no voxel
    starts = np.concatenate([[0], ends[:-1]])
    require(bool((np.maximum.reduceat(used, starts) > 0).all()), "a model has no solid voxel")
    sizes = arrays["voxel_size_m"]
    require(bool((np.isfinite(sizes) & (sizes > 0)).all()), "voxel sizes must be positive")
    elevations = arrays["elevation_m"]
    require(bool((np.isfinite(elevations) & (elevations >= 0)).all()), "elevations must not be negative")
    require(bool(np.isin(arrays["split"], SPLITS).all()), f"splits must be of {SPLITS}")
    require(bool(np.isin(arrays["placement"], PLACEMENTS).all()), f"placements must be of {PLACEMENTS}")
