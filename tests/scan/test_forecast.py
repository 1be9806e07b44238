"""The second forecast: the rest takes as much longer than foreseen as the encoding took."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan import forecast
from sparse_convonet.scan.forecast import SecondForecast, with_outputs
from sparse_convonet.scan.request import ScanRequest

PLAN = Plan(0.08, 0.04, "as asked", 1000, 3_000_000_000, 100.0, read_seconds=5.0, encode_seconds=10.0)


@pytest.mark.parametrize(
    ("plan", "encoding_s", "said"),
    [
        (PLAN, 30.0, ["about 255 s more"]),  # three times as long for the rest of 85 s
        (PLAN, 0.4, []),  # too short to tell
        (replace(PLAN, seconds=17.0), 20.0, []),  # the rest is short
        (replace(PLAN, tile_voxels=256), 30.0, []),  # encoding and meshing take turns
    ],
)
def test_the_rest_is_told_once_from_the_time_of_the_encoding(
    plan: Plan,
    encoding_s: float,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, told = [7.0], list[tuple[str, float]]()
    monkeypatch.setattr(forecast.time, "monotonic", lambda: now[0])
    progress = SecondForecast(lambda stage, share: told.append((stage, share)), plan)
    with caplog.at_level(logging.INFO):
        progress("encode", 0.0)
        now[0] += encoding_s
        progress("encode", 1.0)
        for share in (0.0, 0.5):
            progress("mesh", share)
    assert told == [("encode", 0.0), ("encode", 1.0), ("mesh", 0.0), ("mesh", 0.5)]
    assert [message.split("    ")[1].split(",")[0] for message in caplog.messages] == said


def test_what_is_written_besides_takes_time_and_what_is_not_asked_for_none() -> None:
    alone = ScanRequest([Path("a.ply")], Path("out"), ReconstructionSettings())
    assert with_outputs(PLAN, alone) == PLAN
    page, pictures = replace(alone, page=True), replace(alone, pictures=True)
    tiles, floor_plan = replace(alone, tiles=True), replace(alone, floor_plan=True)
    found = [with_outputs(PLAN, each).seconds for each in (page, pictures, tiles, floor_plan)]
    assert 100 < found[0] < found[1] < found[2] < found[3] < 200
    everything = replace(alone, page=True, pictures=True, tiles=True, floor_plan=True)
    made = with_outputs(PLAN, everything)
    assert made.seconds == pytest.approx(100 + sum(each - 100 for each in found))
    assert made == replace(PLAN, seconds=made.seconds)
