"""Let a method make the meshes of the benchmark of buildings, in a process of its own, and keep what each of them cost."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparse_convonet.evaluation.buildings.methods import BuildingMethod
from sparse_convonet.evaluation.buildings.protocol import BuildingScan
from sparse_convonet.evaluation.comparison import FAILURES
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.model.weights import weights_path
from sparse_convonet.runtime.atomic import atomic_path, remove_unfinished
from sparse_convonet.runtime.isolated import OverBudgetError, call_isolated
from sparse_convonet.runtime.memory import peak_memory_bytes

COST_SUFFIX, MESH_SUFFIX = ".json", ".ply"
_METHOD_FILE = "method.json"


def make_meshes(
    method: BuildingMethod,
    data: Path,
    scans: Sequence[BuildingScan],
    out: Path,
    *,
    memory_bytes: int | None,
    seconds: float | None,
    tell: Callable[[str], None],
) -> None:
    """<out>/<building>/<scan>.ply, and beside it .json with seconds, peak_bytes of the process until then, and failure.

    What is there already stays.  memory_bytes, seconds: a scan that takes more fails, and the next one goes on.  Raises
    ValueError where `out` holds meshes of another method or other weights.
    """
    identity = {**asdict(method), "weights": _checksum(method)}
    path = out / _METHOD_FILE
    out.mkdir(parents=True, exist_ok=True)
    remove_unfinished(out)
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != identity:
        raise ValueError(f"{out}: holds meshes of another method or other weights; name another --out")
    _write_json(path, identity)
    while left := [scan for scan in scans if not _cost_path(out, scan).is_file()]:
        task = {"method": asdict(method), "data": str(data), "out": str(out), "scan": asdict(left[0])}
        tell(f"{method.label}: {left[0].building} {left[0].name}, {len(left)} left")
        try:
            call_isolated(make_one, task, memory_bytes=memory_bytes, seconds=seconds)
        except OverBudgetError as error:
            _write_json(_cost_path(out, left[0]), {"failure": FAILURES[error.what]})
        except RuntimeError as error:
            if "disk full" in str(error):
                raise
            _write_json(_cost_path(out, left[0]), {"failure": str(error).splitlines()[-1]})
        finally:
            remove_unfinished(out)


def make_one(method: dict[str, Any], data: str, out: str, scan: dict[str, Any]) -> dict[str, Any]:
    """In a process of its own: the mesh of one scan, and its cost."""
    wanted = BuildingScan(**scan)
    mesh_of = BuildingMethod(**method).open()
    cloud = read_points(Path(data) / wanted.file)
    started = time.perf_counter()
    mesh = mesh_of(cloud)
    taken = time.perf_counter() - started
    path = _cost_path(Path(out), wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    peak = peak_memory_bytes()
    if len(mesh.faces):
        write_mesh(path.with_suffix(MESH_SUFFIX), mesh)
    _write_json(path, {"seconds": round(taken, 2), "peak_bytes": peak, "faces": len(mesh.faces)})
    return {}


def cost_of(out: Path, scan: BuildingScan) -> dict[str, Any]:
    """What is known of the cost of a mesh; nothing of those from elsewhere."""
    path = _cost_path(out, scan)
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _cost_path(out: Path, scan: BuildingScan) -> Path:
    return out / scan.building / f"{scan.name}{COST_SUFFIX}"


def _checksum(method: BuildingMethod) -> str:
    return f"{zlib.crc32(weights_path(method.model).read_bytes()):08x}" if method.model else ""


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
