"""Curves as a table, for where TensorBoard is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet.training.curves import CURVES, CsvCurves, open_curves, read_curves
from sparse_convonet.training.loop import train
from tests.training.test_training import tiny_config


def test_what_a_resumed_run_will_write_again_is_taken_back(tmp_path: Path) -> None:
    first = CsvCurves(tmp_path, 1)
    for step in range(1, 5):
        first.add_scalar("loss", step / 8, step)
    first.add_image("slice", np.zeros((2, 2)), 4, dataformats="HW")
    first.close()
    with (tmp_path / CURVES).open("a", encoding="utf-8") as file:
        file.write("5,lo")  # killed
    second = CsvCurves(tmp_path, 4)
    second.add_scalar("loss", 9.0, 4)
    second.close()
    assert read_curves(tmp_path / CURVES) == [
        (1, "loss", 0.125),
        (2, "loss", 0.25),
        (3, "loss", 0.375),
        (4, "loss", 9.0),
    ]


def test_a_training_without_tensorboard_writes_its_curves_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it fails
    with caplog.at_level("INFO"):
        train(tiny_config(steps=2, warmup_steps=1, picture_every=2), tmp_path, torch.device("cpu"), resume=False)
    assert sum("tensorboard is not installed" in each.message for each in caplog.records) == 1
    rows = read_curves(tmp_path / CURVES)
    assert [step for step, name, _ in rows if name == "loss"] == [1, 2]
    assert {"iou/validation_rooms", "seconds/waiting", "seconds/step"} <= {name for _, name, _ in rows}
    assert not list(tmp_path.glob("events*"))


def test_with_tensorboard_there_is_no_table(tmp_path: Path) -> None:
    open_curves(tmp_path, 1).close()
    assert list(tmp_path.glob("events*")) and not (tmp_path / CURVES).exists()
