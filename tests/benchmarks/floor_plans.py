"""python -m tests.benchmarks.floor_plans [SEED ...]: how right floor plans of generated buildings are.

Two storeys, a virtual scan from stations, the default model at the voxel size that the plan of the scan chooses, which is
what `reconstruct` does; against the exact occupancy.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from sparse_convonet import ReconstructionSettings
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.floor_plan.sections import Raster
from sparse_convonet.floor_plan.seen import PointPlaces
from sparse_convonet.model.weights import load_model
from sparse_convonet.reconstruct.whole_scan import WholeScan, plan_in_memory
from sparse_convonet.runtime.progress import untold
from sparse_convonet.scan.floor_plans import make_floor_plans
from sparse_convonet.structures import PointCloud
from tests.floor_plan.true_plan import PlanScore, exact_plan, score

_SEEDS = (1, 3, 10)
_BUILDINGS = BuildingSettings(storeys=(2, 2), footprint_m=(11.0, 15.0), pitched_roof_share=0.0)
_STATION_SPACING_M, _RAYS = 2.5, 2_400_000


def scores_of(
    seed: int, rays: int = _RAYS, model_name: str = DEFAULT_MODEL, voxel_size_m: float | None = None
) -> list[PlanScore]:
    """Of the storeys of a building, whose floors are known.  voxel_size_m: None leaves it to the plan."""
    scene, rng = make_building(seed, FurnitureLibrary.load().split("test"), _BUILDINGS), np.random.default_rng(seed)
    stations = choose_stations(scene, rng, _STATION_SPACING_M)
    points = VirtualScanner(*scene.mesh()).scan_stations(stations, rays // len(stations), ScannerSettings(), rng).points
    settings, model = ReconstructionSettings(voxel_size_m=voxel_size_m, scale=1.0), load_model(model_name)
    cloud = PointCloud(points)
    plan = plan_in_memory(cloud, settings, model)
    scan = WholeScan(cloud, settings, model, plan)
    floors = sorted({float(round(place.floor_z + scene.shift[2], 3)) for place in scene.places})
    plans = make_floor_plans(scan, floors, settings.threshold or model.threshold, untold)
    raster = Raster.around(scan.points.low, scan.points.high, plan.cell_size_m / 2)
    places = PointPlaces(raster, floors)
    places.add(points)
    sizes = plan.cell_size_m, plan.voxel_size_m
    scores = []
    for number, (each, floor_z, next_floor_z) in enumerate(zip(plans, floors, [*floors[1:], np.inf], strict=True)):
        seen = places.of_storey(number)
        exact = exact_plan(scene, raster, seen, floor_z, next_floor_z, *sizes, number=number + 1)
        scores.append(score(each, exact, scene, seen, raster, *sizes))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="*", default=_SEEDS, help="of the buildings")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name of a shipped model, or a .safetensors file")
    parser.add_argument("--voxel-size", type=float, help="metres; default: what the plan of the scan chooses")
    options = parser.parse_args()
    heads = (
        "seed, storey",
        "cell",
        "walls seen, within a cell",
        "within 4 cm",
        "all walls",
        "true walls, found",
        "median",
    )
    of_rooms = "rooms, exact", "found", "areas within 2 %", "worst", "places", "one room each"
    print("| " + " | ".join((*heads, *of_rooms)) + " |")
    print("|" + "---|" * 13)
    for seed in options.seeds:
        started = time.monotonic()
        for number, found in enumerate(scores_of(seed, model_name=options.model, voxel_size_m=options.voxel_size)):
            errors = np.abs(found.room_errors)
            walls = found.within_cell, found.within_near, found.within_cell_all, found.found
            print(
                f"| {seed}, {number + 1} | {100 * found.cell_m:g} cm | "
                + " | ".join(f"{share:.1%}" for share in walls)
                + f" | {found.median_mm:.1f} mm | {found.rooms} | {len(errors)} | {int((errors <= 0.02).sum())} | "
                f"{errors.max(initial=0.0):.1%} | {found.places} | {len(found.area_errors)} |",
                flush=True,
            )
        print(f"seed {seed}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
