"""One method on the stored scans of a comparison, in a process of its own: meshes, times by stage, peak memory."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.evaluation.contenders import Contender, open_predictor
from sparse_convonet.evaluation.predictors import Prediction, Predictor, WindowPredictor
from sparse_convonet.evaluation.scenes import ScannedScene
from sparse_convonet.io.meshes import read_geometry, write_mesh
from sparse_convonet.runtime.atomic import atomic_path, remove_unfinished
from sparse_convonet.runtime.isolated import OverBudgetError, call_isolated
from sparse_convonet.runtime.memory import peak_memory_bytes
from sparse_convonet.structures import Mesh, TrainingSample

_RUN_FILE = "run.json"
_WARM_POINTS = 500
_DISK_FULL = "disk full while writing"  # as runtime/atomic.py says it


@dataclass(frozen=True)
class RunSettings:
    """device, threads: of torch.  cells: of meshes along the padded unit cube; None: the configuration's share of a
    voxel.  window: dense networks on voxels run in crops.  memory_bytes, seconds: a process that takes more is ended."""

    device: str = "cpu"
    threads: int | None = None
    cells: int | None = None
    window: bool = False
    memory_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """What came of a method.

    parameters: numbers learned.  peak_bytes: largest resident memory of its process; cuda_bytes: of its GPU, or None.
    failure: why there are not all the meshes ("time", "memory", or what the process said last), or None.
    """

    parameters: int | None
    peak_bytes: int | None
    cuda_bytes: int | None
    failure: str | None


def write_scene(folder: Path, scene: ScannedScene) -> Path:
    """Store a scene as <folder>/<category>/<name>.npz; the same scene gives the same bytes."""
    path = folder / scene.category / f"{scene.name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = scene.unit_frame
    arrays = {"points_world": scene.points_world}
    if scene.normals_world is not None:
        arrays["normals_world"] = scene.normals_world
    if frame is not None:
        arrays["unit_frame"] = np.array([*frame.centre_world, frame.metres_per_unit])
    for name in ("voxel_size_m", "floor_m2"):
        if getattr(scene, name) is not None:
            arrays[name] = np.array(getattr(scene, name))
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
    return path


def read_scene(path: Path) -> ScannedScene:
    """A stored scene."""
    with np.load(path, allow_pickle=False) as archive:
        frame = archive["unit_frame"] if "unit_frame" in archive else None
        return ScannedScene(
            name=path.stem,
            category=path.parent.name,
            points_world=archive["points_world"],
            normals_world=archive["normals_world"] if "normals_world" in archive else None,
            unit_frame=None if frame is None else UnitFrame(frame[:3], float(frame[3])),
            voxel_size_m=float(archive["voxel_size_m"]) if "voxel_size_m" in archive else None,
            floor_m2=float(archive["floor_m2"]) if "floor_m2" in archive else None,
        )


def run_contender(contender: Contender, scenes: Sequence[Path], out: Path, settings: RunSettings) -> Run:
    """Make the meshes of all stored scenes, in a process of its own, and keep them in `out`.

    What a stopped run made is not made again; its costs, which are kept beside each mesh, count.  Raises ValueError
    where `out` holds meshes of other weights, scenes or settings.
    """
    identity = {
        **contender.identity(),
        "scenes": {f"{path.parent.name}/{path.stem}": f"{zlib.crc32(path.read_bytes()):08x}" for path in scenes},
        **asdict(replace(settings, memory_bytes=None, seconds=None)),
    }
    out.mkdir(parents=True, exist_ok=True)
    known = _read_json(out / _RUN_FILE)
    if known is not None and known["identity"] != json.loads(json.dumps(identity)):
        raise ValueError(f"{out}: holds meshes of other weights, scenes or settings; name another --out")
    if known is not None and known["run"] is not None:
        run, had = Run(**known["run"]), RunSettings(**known["settings"])
        if run.failure is None or not _has_more(settings, had, run.failure):
            return run
    _write_json(out / _RUN_FILE, {"identity": identity, "run": None})
    task = {
        "contender": asdict(contender), "scenes": [str(path) for path in scenes], "out": str(out),
        "settings": asdict(settings),
    }  # fmt: skip
    try:
        call = call_isolated(make_meshes, task, memory_bytes=settings.memory_bytes, seconds=settings.seconds)
        reached = max(call.peak_bytes, call.result.get("peak_bytes", 0))
        run = Run(call.result["parameters"], reached, call.result["cuda_bytes"], None)
    except OverBudgetError as error:
        run = Run(None, None, None, error.what)
    except RuntimeError as error:
        last = str(error).splitlines()[-1]
        if _DISK_FULL in last:  # no failure of the method
            raise OSError(errno.ENOSPC, last[last.index(_DISK_FULL) :]) from error
        run = Run(None, None, None, last)
    finally:
        remove_unfinished(out)  # a process that was ended may have left what it was writing
    _write_json(out / _RUN_FILE, {"identity": identity, "settings": asdict(settings), "run": asdict(run)})
    return run


def _has_more(settings: RunSettings, before: RunSettings, failure: str) -> bool:
    """Whether a run that failed may end otherwise now: it is allowed more, or failed for another reason."""
    if failure not in ("memory", "time"):
        return True
    now, then = (
        (each.memory_bytes if failure == "memory" else each.seconds) or float("inf") for each in (settings, before)
    )
    return now > then


def prediction_of(scene: Path, out: Path) -> Prediction | None:
    """What a run made of a stored scene; None where it did not get there."""
    made = _read_json(out / scene.parent.name / f"{scene.stem}.json")
    if made is None:
        return None
    geometry = read_geometry(out / scene.parent.name / f"{scene.stem}.ply") if made["faces"] else None
    mesh = geometry if isinstance(geometry, Mesh) else Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    return Prediction(mesh, made["seconds"], made["seam"])


def make_meshes(contender: dict[str, Any], scenes: list[str], out: str, settings: dict[str, Any]) -> dict[str, Any]:
    """In the process of a run: every mesh that is not there yet, and beside it what it cost so far."""
    chosen, method = RunSettings(**settings), Contender(**{**contender, "overrides": tuple(contender["overrides"])})
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    predictor: Predictor | None = None
    voxel_size_m = float(np.sqrt(np.prod(method.config.data.voxel_size_m)))
    for path in map(Path, scenes):
        folder = Path(out) / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / f"{path.stem}.json").is_file():
            continue
        scene = read_scene(path)
        sample = scene.sample(voxel_size_m)
        if predictor is None:
            predictor = open_predictor(
                method, chosen.device, cells=chosen.cells, window=chosen.window,
                normals_given=scene.normals_world is not None,
            )  # fmt: skip
            _warm_up(predictor, sample)
        prediction = predictor.predict(sample)
        write_mesh(folder / f"{path.stem}.ply", prediction.mesh)
        made = {
            "seconds": dict(prediction.seconds), "seam": prediction.seam, "faces": len(prediction.mesh.faces),
            "parameters": predictor.parameters, "peak_bytes": peak_memory_bytes(),
            "cuda_bytes": torch.cuda.max_memory_allocated() if chosen.device.startswith("cuda") else None,
        }  # fmt: skip
        _write_json(folder / f"{path.stem}.json", made)
    return _costs([_read_json(Path(out) / path.parent.name / f"{path.stem}.json") for path in map(Path, scenes)])


def _costs(made: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The most that was reached after any of the meshes, in this process or in one that was stopped before it."""
    found: dict[str, list[int]] = {
        name: [each[name] for each in made if each.get(name) is not None]
        for name in ("parameters", "peak_bytes", "cuda_bytes")
    }
    return {name: max(values, default=None) for name, values in found.items() if values or name != "peak_bytes"}


def _warm_up(predictor: Predictor, sample: TrainingSample) -> None:
    """Compile, and load what loads late, on the points around one of them.  A window has nothing that compiles."""
    if isinstance(predictor, WindowPredictor):
        return
    distances = np.linalg.norm(sample.points_world - sample.points_world[0], axis=1)
    near = np.sort(np.argsort(distances, kind="stable")[:_WARM_POINTS])
    normals = None if sample.normals_world is None else sample.normals_world[near]
    predictor.predict(
        TrainingSample(
            sample.points_world[near], sample.queries_world, sample.occupied, sample.voxel_size_m, None, normals
        )
    )


def _read_json(path: Path) -> Any:
    """The content, None where there is no such file."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, found something else; remove the file") from error


def _write_json(path: Path, content: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + os.linesep, encoding="utf-8")
