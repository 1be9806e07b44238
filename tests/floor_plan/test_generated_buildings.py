"""Plans of a generated building against its true plan: of its exact occupancy, and of what the shipped model says."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.floor_plan.sections import Raster
from sparse_convonet.floor_plan.seen import PointPlaces
from tests.benchmarks.floor_plans import scores_of
from tests.floor_plan.true_plan import exact_plan, score

CELL_M, VOXEL_M = 0.06, 0.12
SMALL = BuildingSettings(storeys=(1, 1), footprint_m=(8.0, 9.0), pitched_roof_share=0.0)


def test_the_plan_of_an_exact_field_has_true_walls_and_areas() -> None:
    """Walls within a cell for 95 % of their length, areas within 2 %: the geometry adds no more than that."""
    scene, rng = make_building(4, FurnitureLibrary.load().split("test"), SMALL), np.random.default_rng(4)
    stations = choose_stations(scene, rng, 2.5)
    points = (
        VirtualScanner(*scene.mesh()).scan_stations(stations, 400_000 // len(stations), ScannerSettings(), rng).points
    )
    floor_z = float(scene.places[0].floor_z + scene.shift[2])
    raster = Raster.around(points.min(axis=0), points.max(axis=0), CELL_M / 2)
    places = PointPlaces(raster, [floor_z])
    places.add(points)
    seen = places.of_storey(0)
    plan = exact_plan(scene, raster, seen, floor_z, np.inf, CELL_M, VOXEL_M)
    found = score(plan, plan, scene, seen, raster, CELL_M, VOXEL_M)
    assert found.within_cell >= 0.95 and found.found >= 0.75  # bars of window frames are too small for a plan
    assert len(found.area_errors) >= 0.7 * found.places
    assert np.abs(found.area_errors).max() <= 0.02


@pytest.mark.slow
def test_the_plan_of_a_scan_is_nearly_true() -> None:
    """With the smaller of the shipped models and large voxels, which is quick; docs/FLOOR_PLAN.md is about the default."""
    for found in scores_of(10, rays=1_200_000, model_name="building", voxel_size_m=0.08):
        assert found.within_cell >= 0.92 and found.found >= 0.9 and found.median_mm < 10
        assert len(found.area_errors) >= 0.6 * found.places
        assert np.median(np.abs(found.area_errors)) <= 0.02
