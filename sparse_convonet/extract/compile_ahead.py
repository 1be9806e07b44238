"""Compile the kernels of this stage in another process, while the scan is still read and encoded in this one.

After an installation the first mesh waits for Numba.  Compiling holds a lock within a process, so the kernels that come
last are compiled by a second one, which leaves them in Numba's cache on disk.  What is not ready in time is compiled as
ever.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def compile_ahead() -> subprocess.Popen[bytes] | None:
    """Begin, once per process; None where the kernels are on disk already, or there is no second core for it."""
    from sparse_convonet.extract.mise_numba import grow

    if (os.cpu_count() or 1) < 2 or getattr(sys, "frozen", False) or _is_cached(grow):
        return None
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    logger.info("compiling for the first time, in a second process")
    return subprocess.Popen(
        [sys.executable, "-m", "sparse_convonet.extract.compile_ahead"],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _is_cached(kernel: object) -> bool:
    """Whether Numba has compiled a kernel on this machine before: its index lies in the folder of the cache."""
    folder = getattr(getattr(kernel, "stats", None), "cache_path", None)
    name = getattr(kernel, "__name__", "")
    return folder is None or any(Path(folder).glob(f"*.{name}-*.nbi"))


def _run_kernels() -> None:
    """Mesh a small sphere the way a scan is."""
    from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
    from sparse_convonet.extract.seeds import box_seed_cells
    from sparse_convonet.mesh.cleanup import CrumbRule, remove_small_components, remove_unsupported
    from sparse_convonet.mesh.expected_error import ScanScale, error_attributes
    from sparse_convonet.mesh.light import light_mesh
    from sparse_convonet.mesh.normals import with_area_normals
    from sparse_convonet.mesh.point_support import SupportingPoints

    def inside(queries: np.ndarray) -> np.ndarray:
        return (6 - np.linalg.norm(queries, axis=1)).astype(np.float32)

    seeds = box_seed_cells(np.full(3, -8.0), np.full(3, 8.0), 0.5, 16)
    points = np.array([[6.0, 0.0, 0.0], [0.0, 6.0, 0.0]])
    mesh = extract_mesh(inside, seeds, 16, points, ExtractionSettings(cell=0.5))
    mesh = remove_small_components(mesh, min_area=0.1).mesh
    remove_unsupported(mesh, points, CrumbRule(below_m2=1e9, below_share=2.0), 1.0)
    mesh = with_area_normals(mesh)
    assert mesh.normals is not None
    error_attributes(SupportingPoints(points).support(mesh.vertices, mesh.normals), ScanScale(0.1, 1.0))
    light_mesh(mesh, np.zeros(len(mesh.vertices), dtype=np.int64), 0.1)


if __name__ == "__main__":
    _run_kernels()
