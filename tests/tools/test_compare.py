"""tools/compare.py as a user calls it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.config.experiment import load_config
from sparse_convonet.io.points import write_points
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from sparse_convonet.structures import PointCloud
from tests.data.convonet.small_set import write_set
from tests.tools.running import exit_code, refusal

SPARSE = "model: {field: sparse, engine: native, widths: [8, 8], pointnet_width: 8, dilate_from_stride: 2}\n"
DENSE = "model: {field: dense_voxels, grid_levels: 2, grid_width: 8, border: 2}\n"
GRID = "model: {field: dense, grid_resolution: 8, grid_levels: 2, grid_width: 8}\n"
DATA = "data: {points: 200, noise_m: 0.0, near_surface_share: 0.0, voxel_size_m: [0.05, 0.05]}\n"


@pytest.fixture
def configs(tmp_path: Path) -> dict[str, Path]:
    texts = {"sparse": SPARSE, "dense": DENSE, "grid": GRID, "alpha": "baseline: {method: alpha_shape}\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text + DATA)
    return {name: tmp_path / f"{name}.yaml" for name in texts}


def weights_of(config: Path, path: Path) -> Path:
    loaded = load_config(config)
    save_weights(build(loaded.model).state_dict(), loaded, path, threshold=0.5, record={})
    return path


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "comparison.csv").open() as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_a_data_set_gives_a_table_pictures_and_one_page(
    configs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = weights_of(configs["sparse"], tmp_path / "sparse.safetensors")
    arguments = [
        *(configs["sparse"], configs["grid"], configs["alpha"], "--checkpoint", weights, tmp_path / "none.safetensors"),
        *("--data", write_set(tmp_path / "set", models=1), "--split", "val", "--cells", "16", "--random-weights"),
        *("--pictures", "1", "--out", tmp_path / "out"),
    ]
    assert exit_code("compare", *arguments) == 0
    assert "| sparse | 2 |" in capsys.readouterr().out
    found = rows(tmp_path / "out")
    assert list(found) == ["sparse", "grid", "alpha"] and found["grid"]["remark"] == "random weights: costs only"
    assert found["alpha"]["parameters"] == "0" and float(found["alpha"]["F 2 %"]) > 0.2
    assert found["grid"]["IoU"] == "" and 0 <= float(found["sparse"]["IoU"]) <= 1
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and "://" not in page
    assert not list((tmp_path / "out").glob("view*"))  # in the unit cube nothing has a size in metres
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.ply")}
    assert len(made) == 6
    assert exit_code("compare", *arguments) == 0
    assert rows(tmp_path / "out") == found
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.ply")} == made


def test_growth_compares_dense_networks_whole_and_in_a_window(
    configs: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        *(configs["sparse"], configs["dense"], configs["grid"], "--random-weights", "--areas", "40"),
        *("--voxel-size", "0.4", "--memory", "3", "--out", tmp_path / "out"),
    ]
    assert exit_code("compare", *arguments) == 0
    said = "".join(capfd.readouterr())
    assert "grid: left out of the growth, its cells grow with the building" in said
    page = (tmp_path / "out" / "index.html").read_text()
    for name in ("sparse", "dense (whole)", "dense (window)"):
        assert (tmp_path / "out" / "growth" / "runs" / name / "40" / "generated" / "building_40_m2.ply").is_file()
        assert name in page
    assert rows(tmp_path / "out")["dense (window)"]["scenes"] == "1"


def test_a_scan_is_compared_by_its_points(configs: dict[str, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    box = rng.uniform(0, 4, (3000, 3))
    box[np.arange(3000), rng.integers(0, 3, 3000)] = 4 * rng.integers(0, 2, 3000)
    write_points(tmp_path / "box.ply", PointCloud(box + [500_000.0, 0, 0]))
    arguments = [configs["alpha"], "--data", tmp_path / "box.ply", "--voxel-size", "0.2", "--up", "z"]
    assert exit_code("compare", *arguments, "--out", tmp_path / "out") == 0
    found = rows(tmp_path / "out")["alpha"]
    assert float(found["points within 1 voxel %"]) > 30 and "IoU" not in found
    (link,) = re.findall(r'href="(view_[^"]*)"', (tmp_path / "out" / "index.html").read_text())
    (frame,) = re.findall(r'<iframe src="([^"]*)"', (tmp_path / "out" / link).read_text())
    assert '"error":' in (tmp_path / "out" / frame).read_text()  # the mesh's distances to the points


def test_what_cannot_be_compared_is_said(
    configs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", tmp_path / "out"]
    assert "name --data or --areas" in refusal(capsys, "compare", configs["alpha"], *out)
    assert "40 m2 or more, found 10" in refusal(capsys, "compare", configs["alpha"], "--areas", "10", *out)
    said = refusal(capsys, "compare", configs["alpha"], "--data", tmp_path / "no.laz", *out)
    assert "no.laz" in said
    said = refusal(capsys, "compare", configs["sparse"], configs["sparse"], "--areas", "40", *out)
    assert "expected different names, found sparse twice" in said
    said = refusal(capsys, "compare", configs["sparse"], "--areas", "40", *out)
    assert "no such weights" in said and "train it first" in said
