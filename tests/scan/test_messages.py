"""What a run tells of its plan."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.messages import tell_input, tell_plan, tell_result


@pytest.mark.parametrize(
    ("confidence", "guessed", "said"),
    [
        (0.5, True, "-y (guessed from the points; --up sets it)"),
        (0.13, True, "-y (guessed from the points with low confidence, 0.13 of 1: look at the picture; if it does not"),
        (0.13, False, "-y (as asked)"),
    ],
)
def test_a_guess_of_the_up_axis_says_how_sure_it_is(
    confidence: float, guessed: bool, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    summary = CloudSummary(100, np.ones(3), 0.01, "-y", confidence, "foot", 1.0, 0.3048, 0.0, units_declared=True)
    settings, dropped = ReconstructionSettings(up="-y", scale=0.3048), Dropped(0, 0, 0, 0, withheld=7)
    with caplog.at_level(logging.INFO):
        tell_input(summary, 107, dropped, settings, guessed=guessed, scale_asked=False)
    assert f"up axis   {said}" in caplog.text and "dropped   7 withheld" in caplog.text
    assert "units     foot, as the file declares: 0.3048 m each; --scale sets it" in caplog.text


@pytest.mark.parametrize(
    ("tile_voxels", "disk_asked", "said"),
    [
        (None, False, None),
        (256, True, "4 of at most 256 voxels (20 m) each: as asked"),
        (256, False, "4 of at most 256 voxels (20 m) each: one piece would take more than the 2.5 GB allowed"),
    ],
)
def test_a_plan_of_tiles_says_why(
    tile_voxels: int | None, disk_asked: bool, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan(0.08, 0.04, "as asked", 1000, 3_000_000_000, 10.0, tile_voxels, 1 if tile_voxels is None else 4)
    with caplog.at_level(logging.INFO):
        tell_plan(plan, 2_500_000_000, disk_asked=disk_asked)
    tiles = [message.split("  ", 1)[1].strip() for message in caplog.messages if message.startswith("tiles")]
    assert tiles == ([] if said is None else [said])


def test_storeys_are_told_and_one_without_a_room_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    report = {
        "mesh": {"vertices": 3, "faces": 1, "area_m2": 1.0, "components": 1, "watertight": False},
        "coverage": {"within_1_cell": 1.0, "within_1_voxel": 1.0},
        "certificate": {"error_95_mm": None},
        "light_mesh": None,
        "sides": None,
        "texture": {"width": 512, "height": 400, "charts": 9, "texel_mm": 12.34},
        "free_space_m3": 123.4,
        "overlap": {"area_m2": 31.0, "viewpoints": 3, "median_mm": 1.25, "within_95_mm": 4.0},
        "floor_plans": [
            {"rooms": 2, "area_m2": 31.26, "open_to_the_storey_below": []},
            {"rooms": 0, "area_m2": 0.0, "open_to_the_storey_below": []},
            {"rooms": 3, "area_m2": 40.0, "open_to_the_storey_below": [3]},
        ],
        "input": {"crs": None, "dropped": {"ghosts": 0, "outliers": 0}},
        "seconds": {"total": 1.0},
        "peak_memory_bytes": 1,
    }
    with caplog.at_level(logging.INFO):
        tell_result(report, [], scanners_by=None)
    assert "512 x 400 texels of 12.3 mm in mesh_textured.glb" in caplog.text
    plans = [each for each in caplog.records if each.message.startswith("plan")]
    assert [each.message for each in plans][0] == "plan      storey 1: 2 rooms, 31.3 m2"
    assert plans[1].levelno == logging.WARNING and "storey 2: no room" in plans[1].message
    assert plans[2].message == "plan      storey 3: 2 rooms, 1 open to the storey below, 40.0 m2"
    assert (
        "of 31 m2 that several of 3 viewpoints saw, half is scanned within 1.2 mm of each other, 95 % within 4.0 mm"
        in caplog.text
    )
    assert "nothing was built in 123 m3 that the rays of the scanner passed" in caplog.text
    assert "removed" not in caplog.text and "sides" not in caplog.text
