"""sparse-convonet curves: of TensorBoard's events and of a table, against steps and hours, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from sparse_convonet.training.curves import CsvCurves, Curves, read_run
from tests.tools.running import exit_code, refusal

TOOL = "draw_curves"


def fill(writer: Curves, shift: float, first: int = 1) -> None:
    for step in range(first, 401):
        writer.add_scalar("loss", 1 / step, step)
        writer.add_scalar("seconds/step", 9.0, step)
        if step % 200 == 0:
            writer.add_scalar("iou/validation_rooms", step / 1000 + shift, step)
            writer.add_scalar("iou/validation_crops", step / 2000 + shift, step)
            writer.add_scalar("sides/wrong", 0.25, step)
    writer.close()


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """One with events, resumed at step 301; one with a table."""
    events, table = tmp_path / "first", tmp_path / "second"
    table.mkdir()
    fill(SummaryWriter(str(events)), 0.5)  # type: ignore[arg-type]
    fill(SummaryWriter(str(events), purge_step=301), 0.1, first=301)  # type: ignore[arg-type]
    fill(CsvCurves(table, 1), 0.2)
    return [events, table]


def test_runs_are_drawn_and_told_in_steps_and_hours(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(TOOL, *runs, "--out", tmp_path / "curves.png", "--hours") == 0
    said = capsys.readouterr().out
    assert "| step | hours | rooms | crops |" in said
    assert "| 200 | 0.50 | 0.7000 | 0.6000 |" in said and "| 400 | 1.00 | 0.5000 | 0.3000 |" in said
    assert "| 200 | 0.50 | 0.4000 | 0.3000 |" in said and "| 400 | 1.00 | 0.6000 | 0.4000 |" in said
    picture = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert exit_code(TOOL, runs[0], "--out", tmp_path / "loss.png", "--what", "loss") == 0
    assert capsys.readouterr().out.count("\n| ") == 101  # the head, and a row for each hundredth
    assert exit_code(TOOL, runs[1], "--out", tmp_path / "sides.png", "--what", "sides") == 0
    assert "| 400 | 0.2500 |" in capsys.readouterr().out


def test_a_run_gives_each_value_once(runs: list[Path]) -> None:
    assert [step for step, _ in read_run(runs[0])["loss"]] == list(range(1, 401))


def test_what_is_no_run_is_refused(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = "--out", tmp_path / "c.png"
    assert "expected the folder of a run of sparse-convonet train" in refusal(capsys, TOOL, tmp_path, *out)
    assert "expected a file .png" in refusal(capsys, TOOL, runs[0], "--out", tmp_path / "c.jpg")
    assert "expected each run once" in refusal(capsys, TOOL, runs[0], runs[1], runs[0], *out)
    (tmp_path / "bare").mkdir()
    CsvCurves(tmp_path / "bare", 1).close()
    assert "found none; train on" in refusal(capsys, TOOL, tmp_path / "bare", *out)
    short = CsvCurves(tmp_path / "bare", 1)
    short.add_scalar("loss", 1.0, 1)
    short.close()
    said = refusal(capsys, TOOL, tmp_path / "bare", *out, "--what", "loss", "--hours")
    assert "expected the time of each step for --hours" in said
    assert not (tmp_path / "c.png").exists()
