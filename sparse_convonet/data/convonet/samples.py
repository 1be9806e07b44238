"""Surface points and occupancy queries of one model: pointcloud*.npz and points*.npz, read and written.

Everything is in the unit cube: [-0.5, 0.5]^3, y up; queries reach a padding of 0.05 beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import unreadable

Precision = Literal["float16", "float32"]


@dataclass(frozen=True)
class SurfaceSamples:
    """Points on the surface.  points_unit: (N, 3).  normals: (N, 3) outward, or None.  semantics: (N,) int, or None.

    Floats have the precision of the file; semantics are class indices, -1 for walls and ground.
    """

    points_unit: np.ndarray
    normals: np.ndarray | None = None
    semantics: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.points_unit)


@dataclass(frozen=True)
class OccupancySamples:
    """Queries with their truth.  points_unit: (Q, 3).  occupied: (Q,) bool.  semantics: (Q,) int, or None.

    z_scale: by how much the heights of a scene were stretched to fill the cube; 0: not at all.
    """

    points_unit: np.ndarray
    occupied: np.ndarray
    semantics: np.ndarray | None = None
    z_scale: float = 0.0

    def __len__(self) -> int:
        return len(self.points_unit)


def read_surface(path: Path, *, with_normals: bool = True, with_semantics: bool = True) -> SurfaceSamples:
    """What a pointcloud .npz holds; what is not asked for is not read.

    Raises FileNotFoundError, or ValueError in one sentence, for a file that is missing, damaged, or holds
    arrays of other shapes or kinds, or numbers that are not finite.
    """
    with ArrayArchive(path) as archive:
        points = _read_vectors(archive, "points")
        normals = _read_vectors(archive, "normals", len(points)) if with_normals and "normals" in archive else None
        return SurfaceSamples(points, normals, _read_semantics(archive, len(points)) if with_semantics else None)


def read_occupancy(path: Path, *, with_semantics: bool = True) -> OccupancySamples:
    """What a points .npz holds; occupancies are packed bits, as np.packbits makes them, or one number per point.

    Raises as read_surface does.
    """
    with ArrayArchive(path) as archive:
        points = _read_vectors(archive, "points")
        stored = archive.read("occupancies", "bufi", (1, 2))
        z_scale = archive.read("z_scale", "fiu", (0, 1)) if "z_scale" in archive else np.zeros(1)
        if z_scale.size != 1 or not np.isfinite(z_scale).all():
            raise unreadable(path, "one finite 'z_scale'", f"{z_scale.tolist()}")
        semantics = _read_semantics(archive, len(points)) if with_semantics else None
        return OccupancySamples(points, _unpack(path, stored, len(points)), semantics, float(z_scale.reshape(-1)[0]))


def write_surface(path: Path, samples: SurfaceSamples, precision: Precision = "float16") -> None:
    """Write a pointcloud .npz; the file appears whole or not at all, with the same bytes for the same samples.

    Raises ValueError, and writes nothing, for samples that could not be read back.
    """
    arrays = {"points": _rounded(path, "points", samples.points_unit, len(samples), precision)}
    if samples.normals is not None:
        arrays["normals"] = _rounded(path, "normals", samples.normals, len(samples), precision)
    _write(path, arrays, samples.semantics)


def write_occupancy(
    path: Path, samples: OccupancySamples, precision: Precision = "float16", *, packed: bool = True
) -> None:
    """Write a points .npz; packed: eight occupancies to a byte.  As write_surface."""
    if samples.occupied.shape != (len(samples),) or not np.isfinite(samples.z_scale):
        expected = f"{len(samples)} occupancies and a finite z_scale"
        raise ValueError(f"{path}: expected {expected}, found {samples.occupied.shape} and {samples.z_scale}")
    occupied = samples.occupied.astype(bool)
    arrays = {
        "points": _rounded(path, "points", samples.points_unit, len(samples), precision),
        "occupancies": np.packbits(occupied) if packed else occupied,
        "z_scale": np.array(samples.z_scale, dtype=np.float64),
    }
    _write(path, arrays, samples.semantics)


def _write(path: Path, arrays: dict[str, np.ndarray], semantics: np.ndarray | None) -> None:
    if semantics is not None:
        if semantics.shape != (len(arrays["points"]),):
            raise ValueError(f"{path}: expected {len(arrays['points'])} semantics, found shape {semantics.shape}")
        small = np.array_equal(semantics, semantics.astype(np.int8))
        arrays["semantics"] = semantics.astype(np.int8 if small else np.int64)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _rounded(path: Path, name: str, vectors: np.ndarray, rows: int, precision: Precision) -> np.ndarray:
    """(rows, 3) in the precision of the file."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(vectors).astype(precision)
    if rounded.shape != (rows, 3) or rows == 0 or not _is_finite(rounded):
        expected = f"finite {name} of shape ({rows or 'N'}, 3) within the range of {precision}"
        raise ValueError(f"{path}: expected {expected}, found shape {rounded.shape}, NaN or larger numbers")
    return rounded


def _read_vectors(archive: ArrayArchive, name: str, rows: int | None = None) -> np.ndarray:
    array = archive.read(name, "f", (2,))
    if array.shape[1] != 3 or len(array) == 0 or (rows is not None and len(array) != rows):
        raise unreadable(archive.path, f"{name!r} of shape ({rows or 'N'}, 3)", f"{array.shape}")
    if not _is_finite(array):
        raise unreadable(archive.path, f"finite numbers in {name!r}", "NaN or infinity")
    return array


def _is_finite(array: np.ndarray) -> bool:
    """Also in single precision, in which samples are used."""
    if array.dtype == np.float16:
        bits = array.view(np.uint16)  # numpy's own test is ten times slower for half precision
        return bool((bits & 0x7FFF).max() < 0x7C00)
    if array.dtype == np.float32:
        return bool(np.isfinite(array).all())
    return bool(np.abs(array).max() <= np.finfo(np.float32).max)  # false for NaN


def _read_semantics(archive: ArrayArchive, rows: int) -> np.ndarray | None:
    if "semantics" not in archive:
        return None
    semantics = archive.read("semantics", "iu", (1,))
    if len(semantics) != rows:
        raise unreadable(archive.path, f"{rows} 'semantics', one per point", f"{len(semantics)}")
    return semantics


def _unpack(path: Path, stored: np.ndarray, rows: int) -> np.ndarray:
    """(rows,) bool from bits, bools or numbers.

    A single uint8 for a single point may be either; it is inside unless 0, which is right for both.
    """
    if stored.dtype == np.uint8 and stored.shape == (-(-rows // 8),) and rows > 1:
        return np.unpackbits(stored, count=rows).astype(bool)
    if stored.size != rows or stored.shape[0] != rows:
        expected = f"{rows} occupancies, or {-(-rows // 8)} bytes of packed bits"
        raise unreadable(path, expected, f"{stored.dtype} of shape {stored.shape}")
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise unreadable(path, "finite 'occupancies'", "NaN or infinity")
    return stored.reshape(rows) >= 0.5
