"""tools/reconstruct_object.py: a mesh in the frame of the input, and one sentence for what cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_convonet.config.experiment import DataConfig, ExperimentConfig
from sparse_convonet.config.models import DenseModelConfig, GlobalModelConfig, ModelConfig, SparseModelConfig
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from sparse_convonet.structures import PointCloud
from tests.tools.running import exit_code, refusal

TOOL = "reconstruct_object"
RADIUS = 0.4
GRID = DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8)
SPARSE = SparseModelConfig(
    engine="native", widths=(8, 8), pointnet_width=8, feature_width=8, decoder_width=8, dilate_from_stride=1
)
GLOBAL = GlobalModelConfig(code_width=8, pointnet_width=8, decoder_width=8, decoder_blocks=1)
RESULTS = ["mesh.off", "mesh.ply", "preview.png", "report.json"]


def weights(path: Path, model: ModelConfig, folder: str | None = "set", points: int = 300) -> Path:
    """Of a network in which an octahedron of half diagonal RADIUS is occupied, or, if sparse, everything near points."""
    torch.manual_seed(0)
    state = build(model).state_dict()
    if isinstance(model, SparseModelConfig):
        state["decoder.logit.bias"] += 5
        state["decoder.logit.weight"] *= 0.01
    else:
        for name, value in state.items():
            if name.startswith(("decoder.lift", "decoder.logit", "decoder.feature_maps")) or name.endswith(
                "outer.bias"
            ):
                value.zero_()
        state["decoder.lift.weight"][:6] = 10 * torch.cat([torch.eye(3), -torch.eye(3)])
        state["decoder.logit.weight"][0, :6] = -1
        state["decoder.logit.bias"] += 10 * RADIUS
    data = replace(DataConfig(), folder=folder, points=points, near_surface_share=0.0, voxel_size_m=(0.1, 0.1))
    save_weights(state, ExperimentConfig(model=model, data=data), path, threshold=0.5, record={"steps": 0})
    return path


def ball(rng: np.random.Generator, count: int = 2000) -> np.ndarray:
    """Points of an egg of 4 x 6 x 2 around (10, 20, 30)."""
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return normals * (2, 3, 1) + (10, 20, 30)


@pytest.mark.parametrize("model", [GRID, SPARSE, GLOBAL], ids=["grid", "sparse", "global"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_the_cube_stands_around_the_input_and_the_mesh_in_its_frame(
    model: ModelConfig, up: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    scan = tmp_path / "egg.ply"
    points = ball(rng)
    write_points(scan, PointCloud(points))
    model_path, out = weights(tmp_path / "m.safetensors", model), tmp_path / "out"
    assert exit_code(TOOL, scan, "--model", model_path, "--out", out, "--cells", 32, "--up", up) == 0
    assert sorted(each.name for each in out.iterdir()) == RESULTS
    mesh, other = read_mesh(out / "mesh.ply"), read_mesh(out / "mesh.off")
    assert np.array_equal(mesh.faces, other.faces) and other.vertices == pytest.approx(mesh.vertices, rel=1e-5)
    middle, side = (points.min(axis=0) + points.max(axis=0)) / 2, np.ptp(points, axis=0).max()
    report = json.loads((out / "report.json").read_text())
    assert report["unit_cube"]["side"] == pytest.approx(side)
    assert np.array(report["unit_cube"]["centre"]) == pytest.approx(up_rotation(up) @ middle)
    if model is SPARSE:
        assert (mesh.vertices.min(axis=0) < points.min(axis=0)).all() and (
            mesh.vertices.max(axis=0) > points.max(axis=0)
        ).all()
    else:
        assert mesh.vertices.min(axis=0) == pytest.approx(
            middle - RADIUS * side, abs=0.045 * side
        )  # a cell and a third
        assert mesh.vertices.max(axis=0) == pytest.approx(
            middle + RADIUS * side, abs=0.045 * side
        )  # a cell and a third
        assert mesh.to_trimesh().volume == pytest.approx(4 / 3 * (RADIUS * side) ** 3, rel=0.06)
    assert mesh.to_trimesh().volume > 0
    assert report["input"]["points_read"] == 2000 and report["input"]["points_used"] == 300
    assert {"read", "encode", "mesh", "total"} <= set(report["seconds"]) and report["mesh"]["faces"] == len(mesh.faces)
    picture = np.array(Image.open(out / "preview.png"))
    assert (
        picture.shape == (640, 1280, 3)
        and (picture[:, :640] < 200).mean() > 0.02
        and (picture[:, 640:] < 240).mean() > 0.1
    )


def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    model = weights(tmp_path / "m.safetensors", GRID)
    scan, out = tmp_path / "egg.ply", tmp_path / "out"
    write_points(scan, PointCloud(ball(rng)))
    start = (scan, "--model", model, "--out", out)
    assert "does not exist" in refusal(capsys, TOOL, tmp_path / "none.ply", *start[1:])
    (tmp_path / "bad.ply").write_bytes(b"rubbish")
    assert "bad.ply" in refusal(capsys, TOOL, tmp_path / "bad.ply", *start[1:])
    write_points(tmp_path / "few.xyz", PointCloud(np.eye(3)))
    assert "expected at least 50 usable points" in refusal(capsys, TOOL, tmp_path / "few.xyz", *start[1:])
    assert "--cells: expected 8 to 1024" in refusal(capsys, TOOL, *start, "--cells", 4)
    assert "--tau: expected a probability" in refusal(capsys, TOOL, *start, "--tau", 0)
    assert "--points: expected at least 1" in refusal(capsys, TOOL, *start, "--points", 0)
    assert "the result has no surface at an occupancy of 0.999" in refusal(
        capsys, TOOL, *start, "--tau", 0.999, "--cells", 8
    )
    scenes = weights(tmp_path / "scenes.safetensors", SPARSE, folder=None)
    assert "use sparse-convonet reconstruct" in refusal(capsys, TOOL, scan, "--model", scenes, "--out", out)
    assert not out.exists()


def test_a_result_is_replaced_only_when_asked(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, out = tmp_path / "egg.ply", tmp_path / "out"
    write_points(scan, PointCloud(ball(rng)))
    arguments = (scan, "--model", weights(tmp_path / "m.safetensors", GRID), "--out", out, "--cells", 8)
    out.mkdir()
    (out / "mesh.ply").write_bytes(b"precious")
    assert "holds mesh.ply already; add --overwrite" in refusal(capsys, TOOL, *arguments)
    assert (out / "mesh.ply").read_bytes() == b"precious"
    assert exit_code(TOOL, *arguments, "--overwrite") == 0
    assert sorted(each.name for each in out.iterdir()) == RESULTS
