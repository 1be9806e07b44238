"""What a run tells of its plan."""

from __future__ import annotations

import logging

import pytest

from sparse_convonet.plan.plan import Plan
from sparse_convonet.scan.messages import tell_plan


@pytest.mark.parametrize(
    ("tile_voxels", "tiles_asked", "said"),
    [
        (None, False, None),
        (256, True, "4 of at most 256 voxels (20 m) each: as asked"),
        (256, False, "4 of at most 256 voxels (20 m) each: one piece would take more than the 2.5 GB allowed"),
    ],
)
def test_a_plan_of_tiles_says_why(
    tile_voxels: int | None, tiles_asked: bool, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    plan = Plan(0.08, 0.04, "as asked", 1000, 3_000_000_000, 10.0, tile_voxels, 1 if tile_voxels is None else 4)
    with caplog.at_level(logging.INFO):
        tell_plan(plan, 2_500_000_000, tiles_asked=tiles_asked)
    tiles = [message.split("  ", 1)[1].strip() for message in caplog.messages if message.startswith("tiles")]
    assert tiles == ([] if said is None else [said])
