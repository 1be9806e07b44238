"""The tool for a GPU where there is none, and where packages are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_convonet.gpu_run import requirements
from tests.tools.running import exit_code, refusal


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_cuda_device_it_says_so_in_one_line_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("gpu_run", "--out", tmp_path / "run") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["no CUDA device here, so nothing was done; --dry-run walks all parts on the CPU"]
    assert said.err == "" and not (tmp_path / "run").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(requirements, "is_installed", lambda name: name != "safetensors")
    assert "found no safetensors; install what is missing" in refusal(capsys, "gpu_run", "--dry-run")


def test_a_run_of_no_minutes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "minutes: expected more than 0" in refusal(
        capsys, "gpu_run", "--dry-run", "--minutes", "0", "--out", tmp_path
    )
