"""How long the first mesh of a fresh process takes, with and without compiled kernels on disk."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

from sparse_convonet.isolated import call_isolated
from tests.benchmarks.tables import column

TEXT = (
    "A small synthetic room from points to mesh in a fresh process: with an empty folder for Numba's compiled kernels "
    "(what the first call after an installation meets), and again with what that run left there; one run each."
)


@dataclass(frozen=True)
class FirstCallRow:
    cache: str = column("compiled kernels")
    import_s: float = column("import, s", "{:.2f}")
    load_s: float = column("load the model, s", "{:.2f}")
    first_s: float = column("first mesh, s", "{:.2f}")
    until_first_s: float = column("import to first mesh, s", "{:.2f}")
    second_s: float = column("second mesh, s", "{:.2f}")
    wall_s: float = column("whole process, s", "{:.2f}")


def run(quick: bool) -> list[FirstCallRow]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("none", "on disk"):
            arguments = {"points": 2000 if quick else 20_000}
            call = call_isolated(first_results, arguments, {"NUMBA_CACHE_DIR": folder})
            spent = call.result
            until = spent["import_s"] + spent["load_s"] + spent["first_s"]
            rows.append(FirstCallRow(cache, until_first_s=until, wall_s=call.wall_s, **spent))
    return rows


def first_results(points: int) -> dict[str, Any]:
    """Seconds of importing, loading, and of the first and second mesh."""
    started = time.perf_counter()
    from sparse_convonet.reconstruct import ReconstructionSettings, Reconstructor

    imported = time.perf_counter()
    from tests.synthetic_scan import room_points

    cloud = room_points(points)
    begun = time.perf_counter()
    reconstructor = Reconstructor.from_pretrained("building", settings=ReconstructionSettings(voxel_size_m=0.1))
    loaded = time.perf_counter()
    reconstructor.reconstruct(cloud)
    first = time.perf_counter()
    reconstructor.reconstruct(cloud)
    return {
        "import_s": imported - started,
        "load_s": loaded - begun,
        "first_s": first - loaded,
        "second_s": time.perf_counter() - first,
    }
