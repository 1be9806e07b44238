"""The curves of robustness: what they scan, and that a stopped run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.evaluation.buildings.methods import BuildingMethod
from sparse_convonet.structures import Mesh, PointCloud
from tests.benchmarks import robustness
from tests.benchmarks.robustness import FAULTS, Fault, measure, table, write_chart
from tests.metrics.boxes import box

ROOM = box((0, 0, 0), (4, 3, 2.5))
TRUTH = Mesh(ROOM.vertices, ROOM.faces[:, ::-1])  # seen from inside


def test_levels_make_a_scan_worse_and_a_wrong_scale_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans: list[PointCloud] = []

    def opened(self: BuildingMethod) -> object:
        def method(cloud: PointCloud) -> Mesh:
            scans.append(cloud)
            size = np.ptp(cloud.points, axis=0).max()
            if size > 7:
                raise ValueError("too large")
            return Mesh(TRUTH.vertices * (0.5 if size < 3 else 1.0), TRUTH.faces)

        return method

    monkeypatch.setattr(BuildingMethod, "open", opened)
    method = BuildingMethod.parse("poisson_true")
    faults = [Fault("noise, mm", (0, 50)), Fault("points per m2", (400, 50)), Fault("scale", (0.5, 2))]
    rows = measure(TRUTH, [method], tmp_path, 200.0, faults)
    outside = [float(np.abs(scan.points - scan.points.clip(0, [4, 3, 2.5])).max(axis=1).mean()) for scan in scans[:2]]
    assert outside[0] < 0.01 < outside[1]
    assert len(scans[2]) == pytest.approx(8 * len(scans[3]), rel=0.01) and len(scans[2]) > 10_000
    assert rows["poisson_true|scale|0.5"]["F 1 cm"] == 1.0 and rows["poisson_true|scale|2"] == {}
    assert json.loads((tmp_path / "robustness.json").read_text(encoding="utf-8")) == rows
    assert measure(TRUTH, [method], tmp_path, 200.0, faults) == rows and len(scans) == 6
    monkeypatch.setattr(robustness, "FAULTS", tuple(faults))
    lines = table(rows, ["poisson_true"]).splitlines()
    assert len(lines) == 2 + 6 and lines[-1] == "| scale | 2 | refused | refused | refused | refused | refused |"
    assert lines[-2].startswith("| scale | 0.5 | 1.000 | 1.000 | 0.0 |")
    write_chart(tmp_path / "chart.png", rows, ["poisson_true"])
    assert (tmp_path / "chart.png").stat().st_size > 1000


def test_the_scanner_of_each_fault_differs_in_that_alone() -> None:
    usual = Fault("points per m2", (1,)).settings(1)
    for fault in FAULTS:
        changed = {
            name for name, value in vars(fault.settings(max(fault.levels))).items() if value != getattr(usual, name)
        }
        assert len(changed) == {"noise, mm": 2, "outliers, %": 1, "registration, mm": 2}.get(fault.name, 0)
