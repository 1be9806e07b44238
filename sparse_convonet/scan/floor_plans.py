"""The floor plans of a scan whose mesh is found: the field is asked for sections of every storey, then they are written.

What draws is imported when it is asked for: it needs the packages of the extra `plan`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparse_convonet.coordinates import ScanFrame
from sparse_convonet.extract.mise import threshold_logit
from sparse_convonet.io.crs import name_of
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.reconstruct.backend import PlannedScan, Queries
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.runtime.refusals import require_package

if TYPE_CHECKING:
    from sparse_convonet.floor_plan.storey_plan import StoreyPlan

DXF_FILE, ROOMS_FILE = "floor_plan.dxf", "rooms.json"
_DRAWING = re.compile(r"floor_plan_[1-9][0-9]*\.svg")
_PACKAGES = ("shapely", "ezdxf")


def require_floor_plans() -> None:
    """Raise ValueError where a package that plans need is missing."""
    for package in _PACKAGES:
        require_package(package, "plan", "--floor-plan")


def drawing_file(storey: int) -> str:
    """The name of a storey's drawing; storeys count from 1."""
    return f"floor_plan_{storey}.svg"


def drawings_in(folder: Path) -> list[str]:
    """Names of the drawings that a folder holds, made by any run."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if _DRAWING.fullmatch(path.name))


def make_floor_plans(
    scan: PlannedScan, floors_z: Sequence[float], threshold: float, progress: Progress
) -> list[StoreyPlan]:
    """One for each storey, whose floors are given, ascending, metres, z up.  threshold: tau.

    The scan is encoded for it, unless it is on the disk and was; the field is asked block by block, and never more than
    one storey's sections are held.
    """
    from sparse_convonet.floor_plan.sections import Raster, cut_sections
    from sparse_convonet.floor_plan.seen import PointPlaces
    from sparse_convonet.floor_plan.storey_plan import plan_storey

    queries, logit = scan.queries(progress), threshold_logit(threshold)
    raster = Raster.around(scan.points.low, scan.points.high, scan.plan.cell_size_m / 2)
    places = PointPlaces(raster, floors_z)
    for part in scan.points.parts():
        places.add(part.points_world)
    plans = []
    for number, (floor_z, next_z) in enumerate(zip(floors_z, [*floors_z[1:], np.inf], strict=True)):
        progress("floor plan", number / len(floors_z))

        def ask(points_world: np.ndarray) -> np.ndarray:
            return _logits(queries, scan.voxels.to_voxels(points_world)) - np.float32(logit)

        seen = places.of_storey(number)
        sections = cut_sections(ask, raster, floor_z, next_z, seen.wall_m, seen.open_below)
        sizes = {"cell_size_m": scan.plan.cell_size_m, "voxel_size_m": scan.plan.voxel_size_m}
        plans.append(plan_storey(number + 1, floor_z, sections, seen, **sizes))
    return plans


def _logits(queries: Queries, places_voxel: np.ndarray) -> np.ndarray:
    """(Q,) float32 at (Q, 3) voxel coordinates."""
    logits = np.empty(len(places_voxel), dtype=np.float32)
    for chunk in query_chunks(len(places_voxel)):
        logits[chunk] = queries.logits_and_known(places_voxel[chunk])[0]
    return logits


def write_floor_plans(
    plans: Sequence[StoreyPlan], frame: ScanFrame, crs: str | None, title: str, paths: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """Write the drawings, DXF_FILE and ROOMS_FILE, and return what report.json says of them.

    crs: WKT of the system of the scan, if it is known.  paths: by the names of the files, where they are written to.
    """
    from sparse_convonet.floor_plan.dxf import write_dxf
    from sparse_convonet.floor_plan.plan_frame import PlanFrame
    from sparse_convonet.floor_plan.rooms_json import summary_of, write_rooms
    from sparse_convonet.floor_plan.svg import write_svg

    placed = PlanFrame.of_scan(frame, None if crs is None else name_of(crs))
    for plan in plans:
        write_svg(paths[drawing_file(plan.number)], plan, placed, title)
    write_dxf(paths[DXF_FILE], plans)
    write_rooms(paths[ROOMS_FILE], plans, placed)
    return summary_of(plans)
