"""Which voxels are neighbours: tables of rows, and sets of keys, from sorted packed keys.

Adding a constant to sorted keys leaves them sorted, so that neighbours are found by sweeping two
sorted lists, without hashing.  Numba does it where the keys are on the CPU, torch elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.coordinates import key_shift
from sparse_convonet.engine import sweep_numba
from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.runtime.threads import run_ranges

_ROWS_PER_PART = 16384


@dataclass(frozen=True)
class KernelOffsets:
    """Offsets of a cubic kernel, x fastest, as in MinkowskiEngine.

    Odd sizes are centred, even sizes span 0 .. size - 1.  step: distance in voxels between
    neighbouring offsets (tensor stride times dilation).  sign -1 mirrors every offset: what the
    table of the transposed convolution needs.
    """

    size: int
    step: int
    sign: int = 1

    @property
    def volume(self) -> int:
        return self.size**3

    @property
    def is_symmetric(self) -> bool:
        """Whether mirroring the offsets gives the same set, in reverse order."""
        return self.size % 2 == 1

    def along_axis(self) -> list[int]:
        """The `size` offsets along one axis, in voxels, in kernel order."""
        low = -(self.size // 2) if self.size % 2 else 0
        return [self.sign * self.step * (low + i) for i in range(self.size)]

    def shifts(self) -> np.ndarray:
        """(volume,) int64: what to add to a packed key to move it by each offset."""
        axis = self.along_axis()
        return np.array([key_shift(dx, dy, dz) for dz in axis for dy in axis for dx in axis], dtype=np.int64)


def neighbour_table(query_keys: torch.Tensor, keys: torch.Tensor, offsets: KernelOffsets) -> torch.Tensor:
    """Rows of `keys` (V,) int64 sorted at each offset from `query_keys` (Q,) int64 sorted.

    Returns (Q, volume) int32; -1 where there is no such voxel.
    """
    shifts = offsets.shifts()
    if not compiled_loops_take(keys):
        return _table_by_search(query_keys, keys, torch.from_numpy(shifts).to(keys.device))
    # Kernel entries in columns of equal (dx, dy), dz ascending within a column.
    entries = np.arange(offsets.volume).reshape(offsets.size, -1).T
    entries = np.ascontiguousarray(entries[:, ::-1] if offsets.sign < 0 else entries)
    table = torch.empty((len(query_keys), offsets.volume), dtype=torch.int32)
    arrays = (query_keys.numpy(), keys.numpy(), shifts, entries, table.numpy())
    run_ranges(
        lambda part, begin, end: sweep_numba.match_rows(*arrays, begin, end),
        count=len(query_keys),
        parts=1 + len(query_keys) // _ROWS_PER_PART,
    )
    return table


def _table_by_search(query_keys: torch.Tensor, keys: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    table = torch.full((len(query_keys), len(shifts)), -1, dtype=torch.int32, device=keys.device)
    if len(keys) == 0:
        return table
    for entry, shift in enumerate(shifts):
        wanted = query_keys + shift
        row = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
        table[:, entry] = torch.where(keys[row] == wanted, row, -1).to(torch.int32)
    return table


def dilate(keys: torch.Tensor, offsets: KernelOffsets) -> torch.Tensor:
    """(V,) int64 sorted keys -> sorted unique keys of every voxel at an offset from one of them.

    A cube is the sum of its three axes, so that three small unions do the work of one large one.
    """
    for axis in range(3):
        unit = [key_shift(int(axis == 0), int(axis == 1), int(axis == 2)) * d for d in offsets.along_axis()]
        shifts = np.array(sorted(unit), dtype=np.int64)
        if not compiled_loops_take(keys):
            keys = torch.unique(keys[:, None] + torch.from_numpy(shifts).to(keys.device))
        else:
            keys = torch.from_numpy(sweep_numba.union_of_shifted(keys.numpy(), shifts))
    return keys
