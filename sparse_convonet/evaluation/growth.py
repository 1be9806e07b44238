"""How time and memory grow with the floor area of a building, and where a method no longer fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparse_convonet.evaluation.contenders import Contender
from sparse_convonet.evaluation.runs import RunSettings, prediction_of, read_scene, run_contender, write_scene
from sparse_convonet.evaluation.scenes import building_scene


@dataclass(frozen=True)
class GrowthPoint:
    """One method on one building.  floor_m2: on all storeys together.  seconds: points to mesh.  failure: see Run."""

    name: str
    floor_m2: float
    points: int
    seconds: float | None
    peak_bytes: int | None
    failure: str | None


def measure_growth(
    contenders: Sequence[tuple[str, Contender, RunSettings]],
    areas_m2: Sequence[float],
    voxel_size_m: float,
    out: Path,
    seed: int,
    finished: Callable[[GrowthPoint], None] = lambda point: None,
) -> list[GrowthPoint]:
    """Every method on generated buildings of growing floor area, until it fails; what is measured is kept in `out`.

    contenders: names, methods and how each runs.  finished: called with each new point.
    """
    points: list[GrowthPoint] = []
    failed: set[str] = set()
    for area_m2 in sorted(areas_m2):
        path = out / "scenes" / "generated" / f"building_{area_m2:g}_m2.npz"
        if not path.is_file():
            scene, _ = building_scene(area_m2, voxel_size_m, seed)
            path = write_scene(out / "scenes", scene)
        scene = read_scene(path)
        if scene.voxel_size_m != voxel_size_m:
            scene = replace(scene, voxel_size_m=voxel_size_m)
            path = write_scene(out / "scenes", scene)
        for name, contender, settings in contenders:
            if name in failed:
                continue
            folder = out / "runs" / name / f"{area_m2:g}"
            run = run_contender(contender, [path], folder, settings)
            prediction = prediction_of(path, folder)
            seconds = None if prediction is None or run.failure else sum(prediction.seconds.values())
            point = GrowthPoint(
                name, scene.floor_m2 or area_m2, len(scene.points_world), seconds, run.peak_bytes, run.failure
            )
            points.append(point)
            finished(point)
            if run.failure is not None:
                failed.add(name)
    return points
