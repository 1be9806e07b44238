"""Trainings that end when their process has used its time of the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.equal_time import SETTINGS, train_for

SMOKE = Path("configs/smoke.yaml")
SMALL = (*SETTINGS, "training.batch=1", "data.points=500", "data.queries=100")


def test_a_training_ends_after_its_time_and_is_not_repeated(tmp_path: Path) -> None:
    found = train_for(SMOKE, tmp_path / "run", 10.0, SMALL)
    assert 10.0 <= found["cpu_s"] < 13.0 and found["steps"] >= 1
    written = (tmp_path / "run" / "last.safetensors").read_bytes()
    assert train_for(SMOKE, tmp_path / "run", 10.0, SMALL) == found
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == written


def test_a_training_that_ends_by_itself_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a training that goes on, found it ended: .*warmup"):
        train_for(SMOKE, tmp_path / "run", 60.0, [*SMALL, "training.warmup_steps=-1"])
    assert not (tmp_path / "run" / "equal_time.json").exists()
