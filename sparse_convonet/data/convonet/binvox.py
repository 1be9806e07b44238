"""Voxels of a model, model.binvox, read and written (https://www.patrickmin.com/binvox/binvox.html).

The file runs through x slowest, then z, then y fastest; in memory the axes are x, y, z, as the papers' code has them.
Sides should be equal; where they are not, `dim` is read as the papers' code reads it: x, z, y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import unreadable

MAX_VOXELS = 1 << 30  # 1024 along each side
_MAX_LINE_BYTES = 256
_MAX_HEADER_LINES = 64  # binvox writes a handful
_LONGEST_RUN = 255
_WORDS = {b"dim": 3, b"translate": 3, b"scale": 1}  # numbers that follow each


@dataclass(frozen=True)
class Voxels:
    """occupied: (X, Y, Z) bool.  translate, scale: the corner of voxel (0, 0, 0) and the longest side of the grid.

    Cells are cubes, so `scale` is the side of the whole grid where it is one.
    """

    occupied: np.ndarray
    translate: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    def centres(self) -> np.ndarray:
        """(V, 3) float64: the middles of the occupied voxels, in the frame of the model that was voxelised."""
        cell = self.scale / max(self.occupied.shape)
        return (np.argwhere(self.occupied) + 0.5) * cell + np.asarray(self.translate)


def read_binvox(path: Path) -> Voxels:
    """What is not 0 is occupied.

    Raises FileNotFoundError, or ValueError in one sentence for a damaged file or one of more than MAX_VOXELS.
    """
    with path.open("rb") as file:
        shape, translate, scale = _read_header(path, file)
        x, y, z = shape
        if x * y * z > MAX_VOXELS:
            raise unreadable(path, f"at most {MAX_VOXELS} voxels", f"{x:g} x {y:g} x {z:g}")
        runs = np.frombuffer(file.read(), dtype=np.uint8)
    if len(runs) % 2:
        raise unreadable(path, "pairs of a value and a length", f"{len(runs)} bytes")
    values, lengths = runs[0::2], runs[1::2]
    covered = int(lengths.sum(dtype=np.int64))
    if covered != x * y * z:
        raise unreadable(path, f"runs of {x * y * z} voxels in all", f"{covered}")
    flat = np.repeat(values.astype(bool), lengths)
    return Voxels(np.ascontiguousarray(flat.reshape(x, z, y).transpose(0, 2, 1)), translate, scale)


def _read_header(path: Path, file: BinaryIO) -> tuple[tuple[int, int, int], tuple[float, float, float], float]:
    """Sides in voxels in the order x, y, z, and how the grid lies; the file is left where the runs begin."""
    if file.readline(_MAX_LINE_BYTES).split() not in ([b"#binvox", b"1"], [b"#binvox", b"2"]):
        raise unreadable(path, "a binvox file of version 1 or 2", "another beginning")
    found: dict[bytes, list[float]] = {b"translate": [0.0, 0.0, 0.0], b"scale": [1.0]}
    for _ in range(_MAX_HEADER_LINES):
        line = file.readline(_MAX_LINE_BYTES)
        words = line.split()
        if not line.endswith(b"\n") or words == [b"data"]:
            break
        if words and words[0] in _WORDS:  # other words are left to other programs, as the format asks
            found[words[0]] = _numbers(path, words)
    if words != [b"data"] or b"dim" not in found:
        raise unreadable(path, "lines with dim and data before the voxels", "an incomplete header")
    sides = [int(side) for side in found[b"dim"]]
    if min(sides) < 1 or sides != found[b"dim"]:
        raise unreadable(
            path, "three positive whole numbers after dim", " ".join(f"{side:g}" for side in found[b"dim"])
        )
    (scale,) = found[b"scale"]
    if scale <= 0:
        raise unreadable(path, "a positive number after scale", f"{scale:g}")
    x, y, z = found[b"translate"]
    return (sides[0], sides[2], sides[1]), (x, y, z), scale


def _numbers(path: Path, words: list[bytes]) -> list[float]:
    wanted = _WORDS[words[0]]
    try:
        numbers = [float(word) for word in words[1:]]
    except ValueError:
        numbers = []
    if len(numbers) != wanted or not all(math.isfinite(number) for number in numbers):
        raise unreadable(path, f"{wanted} numbers after {words[0].decode()}", "something else")
    return numbers


def write_binvox(path: Path, voxels: Voxels) -> None:
    """Write a binvox file of version 1; a run is as long as it can be, so that the same voxels make the same bytes.

    Raises ValueError for what could not be read back.
    """
    occupied = np.asarray(voxels.occupied)
    numbers = (*voxels.translate, voxels.scale)
    if occupied.ndim != 3 or not 0 < occupied.size <= MAX_VOXELS or len(numbers) != 4:
        raise ValueError(f"{path}: expected voxels (X, Y, Z), 1 to {MAX_VOXELS}, found shape {occupied.shape}")
    if not all(math.isfinite(number) for number in numbers) or voxels.scale <= 0:
        raise ValueError(f"{path}: expected finite numbers and a positive scale, found {numbers}")
    x, y, z = occupied.shape
    translate = " ".join(str(float(number)) for number in voxels.translate)
    header = f"#binvox 1\ndim {x} {z} {y}\ntranslate {translate}\nscale {float(voxels.scale)}\ndata\n"
    with atomic_path(path) as temporary:
        temporary.write_bytes(header.encode("ascii") + _runs(occupied.astype(bool).transpose(0, 2, 1).reshape(-1)))


def _runs(flat: np.ndarray) -> bytes:
    """Pairs of a value and a length of at most 255 for (V,) bool."""
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=len(flat))
    pieces = -(-lengths // _LONGEST_RUN)  # of each run; all but the last are as long as can be
    run_lengths = np.full(int(pieces.sum()), _LONGEST_RUN)
    run_lengths[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST_RUN
    pairs = np.stack([np.repeat(flat[starts], pieces), run_lengths], axis=1)
    return pairs.astype(np.uint8).tobytes()
