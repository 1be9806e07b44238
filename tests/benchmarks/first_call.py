"""How long the first mesh of a fresh process takes, with and without compiled kernels on disk."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks.tables import column

_RUNS = 5

TEXT = (
    "A small synthetic room from points to mesh in a fresh process: with an empty folder for Numba's compiled kernels "
    "(what the first call after an installation meets), and again with what that run left there; "
    f"medians of {_RUNS} runs of both."
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
    found: dict[str, list[dict[str, float]]] = {"none": [], "on disk": []}
    for _ in range(1 if quick else _RUNS):
        with tempfile.TemporaryDirectory() as folder:
            for spent in found.values():
                arguments = {"points": 2000 if quick else 20_000}
                call = call_isolated(first_results, arguments, {"NUMBA_CACHE_DIR": folder})
                until = call.result["import_s"] + call.result["load_s"] + call.result["first_s"]
                spent.append({**call.result, "until_first_s": until, "wall_s": call.wall_s})
    return [
        FirstCallRow(cache, **{name: statistics.median(each[name] for each in spent) for name in spent[0]})
        for cache, spent in found.items()
    ]


def first_results(points: int) -> dict[str, Any]:
    """Seconds of importing, loading, and of the first and second mesh."""
    started = time.perf_counter()
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.reconstruct.reconstructor import Reconstructor

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
