"""tools/reconstruct_object.py: a mesh in the frame of the input, and one sentence for what cannot be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from sparse_convonet.config.experiment import DataConfig, ExperimentConfig
from sparse_convonet.config.models import (
    DenseModelConfig,
    GlobalModelConfig,
    ImageModelConfig,
    ModelConfig,
    SparseModelConfig,
)
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.convonet.binvox import Voxels, write_binvox
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from sparse_convonet.structures import Mesh, PointCloud
from tests.octahedron_network import octahedron_state
from tests.oracles.octomap_files import binary_file, full_file, tree_of_cells
from tests.tools.running import exit_code, refusal

TOOL = "reconstruct_object"
RADIUS = 0.4
GRID = DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8)
SPARSE = SparseModelConfig(
    engine="native", widths=(8, 8), pointnet_width=8, feature_width=8, decoder_width=8, dilate_from_stride=1
)
GLOBAL = GlobalModelConfig(code_width=8, pointnet_width=8, decoder_width=8, decoder_blocks=1)
RESULTS = ["mesh.off", "mesh.ply", "preview.png", "report.json"]


def weights(
    path: Path, model: ModelConfig, folder: str | None = "set", points: int = 300, voxels: bool = False
) -> Path:
    """Of a network in which an octahedron of half diagonal RADIUS is occupied, or, if sparse, everything near points."""
    if isinstance(model, SparseModelConfig):
        torch.manual_seed(0)
        state = build(model).state_dict()
        state["decoder.logit.bias"] += 5
        state["decoder.logit.weight"] *= 0.01
    else:
        state = octahedron_state(model, RADIUS)
    data = replace(DataConfig(), folder=folder, points=points, near_surface_share=0.0, voxel_size_m=(0.1, 0.1))
    if isinstance(model, ImageModelConfig):
        data = replace(data, input="image", image_pixels=32)
    if voxels:
        data = replace(data, input="voxels", voxel_size_m=(1 / 16, 1 / 16))
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


VOXELS: dict[str, ModelConfig] = {
    "grid": replace(GRID, input_voxels=16),
    "onet": replace(GLOBAL, input_voxels=16, voxel_width=2),
    "sparse": replace(SPARSE, input_voxels=True),
}


def voxel_files(folder: Path) -> dict[str, Path]:
    """A block of 4 x 6 x 8 voxels from (3, 4, 5) on in a cube of 16^3, of side 32, with its corner at (100, 200, 300)."""
    occupied = np.zeros((16, 16, 16), dtype=bool)
    occupied[3:7, 4:10, 5:13] = True
    write_binvox(folder / "block.binvox", Voxels(occupied, (100.0, 200.0, 300.0), 32.0))
    np.savez(folder / "block.npz", voxels=occupied, voxel_size=np.array(2.0), origin=np.array([100.0, 200.0, 300.0]))
    np.save(folder / "block.npy", occupied)
    box = trimesh.creation.box(bounds=[(106.1, 208.1, 310.1), (113.9, 219.9, 325.9)])
    write_mesh(folder / "block.off", Mesh(np.asarray(box.vertices), np.asarray(box.faces)))
    return {path.suffix: path for path in folder.glob("block.*")}


@pytest.mark.parametrize("kind", VOXELS)
@pytest.mark.parametrize("suffix", [".binvox", ".npz", ".off"])
def test_voxels_and_meshes_go_through_networks_of_voxels(kind: str, suffix: str, tmp_path: Path) -> None:
    model = weights(tmp_path / "m.safetensors", VOXELS[kind], voxels=True)
    out = tmp_path / "out"
    assert exit_code(TOOL, voxel_files(tmp_path)[suffix], "--model", model, "--out", out, "--cells", 32) == 0
    mesh, report = read_mesh(out / "mesh.ply"), json.loads((out / "report.json").read_text())
    assert report["input"]["kind"] == "voxels" and report["input"]["up"] == "y"
    low, high = np.array([106, 208, 310]), np.array([114, 220, 326])
    if kind == "sparse":
        assert (mesh.vertices.min(axis=0) < low).all() and (mesh.vertices.max(axis=0) > high).all()
        assert (mesh.vertices.min(axis=0) > low - 16).all() and (mesh.vertices.max(axis=0) < high + 16).all()
    else:  # an octahedron in the middle of the cube
        side, middle = (32.0, np.array([116, 216, 316])) if suffix != ".off" else (15.8, (low + high) / 2)
        assert (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2 == pytest.approx(middle, abs=0.02 * side)
        assert np.ptp(mesh.vertices, axis=0) == pytest.approx(np.full(3, 2 * RADIUS * side), abs=0.04 * side)
    if suffix != ".off":
        assert report["input"]["voxels"] == 4 * 6 * 8
    assert np.array(Image.open(out / "preview.png")).shape == (640, 1280, 3)


def test_an_octomap_becomes_a_mesh_in_its_metres_z_up(tmp_path: Path) -> None:
    half = 1 << 15
    floor = {(half + x, half + y, half - 7) for x in range(-20, 20) for y in range(30)}
    (tmp_path / "floor.bt").write_bytes(binary_file(tree_of_cells(floor), 0.05))
    model = weights(tmp_path / "m.safetensors", VOXELS["sparse"], folder=None)
    out = tmp_path / "out"
    assert exit_code(TOOL, tmp_path / "floor.bt", "--model", model, "--out", out) == 0
    mesh, report = read_mesh(out / "mesh.ply"), json.loads((out / "report.json").read_text())
    assert report["input"] == {"file": "floor.bt", "kind": "voxels", "up": "z", "voxels": 1200}
    low, high = np.array([-1.0, 0.0, -0.35]), np.array([1.0, 1.5, -0.3])
    for found, border, sign in ((mesh.vertices.min(axis=0), low, 1), (mesh.vertices.max(axis=0), high, -1)):
        assert (sign * (border - found) > 0).all() and (np.abs(border - found) < 0.3).all()  # cells around the voxels


def test_what_networks_of_voxels_cannot_take_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = weights(tmp_path / "m.safetensors", replace(GRID, input_voxels=32), voxels=True)
    files, start = voxel_files(tmp_path), ("--model", model, "--out", tmp_path / "out")
    assert "expected 32 x 32 x 32 voxels, found 16 x 16 x 16" in refusal(capsys, TOOL, files[".binvox"], *start)
    half = 1 << 15
    (tmp_path / "floor.ot").write_bytes(full_file(tree_of_cells({(half, half, half)}), 0.05))
    assert "found voxels without bounds; make" in refusal(capsys, TOOL, tmp_path / "floor.ot", *start)
    (tmp_path / "bad.bt").write_bytes(b"rubbish")
    assert "expected an OctoMap file" in refusal(capsys, TOOL, tmp_path / "bad.bt", *start)
    assert "does not exist" in refusal(capsys, TOOL, tmp_path / "none.binvox", *start)
    assert not (tmp_path / "out").exists()


PICTURES = ImageModelConfig(code_width=8, image_width=4, decoder_width=8, decoder_blocks=1)


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg", "alpha.png", "wide.png", "grey.jpg", "large.JPG"])
def test_photos_of_any_kind_and_size_become_a_mesh_in_the_cube(name: str, tmp_path: Path) -> None:
    drawn = np.full((48, 48, 3), 255, dtype=np.uint8)
    drawn[10:40, 15:30] = (90, 60, 30)
    picture = Image.fromarray(drawn)
    if name == "alpha.png":
        picture.putalpha(Image.fromarray((drawn[..., 0] < 200).astype(np.uint8) * 255))
    elif name == "wide.png":
        picture = picture.resize((100, 33))
    elif name == "grey.jpg":
        picture = picture.convert("L")
    elif name == "large.JPG":
        picture = picture.resize((900, 700))
    picture.save(tmp_path / name)
    model = weights(tmp_path / "m.safetensors", PICTURES)
    out = tmp_path / "out"
    assert exit_code(TOOL, tmp_path / name, "--model", model, "--out", out, "--cells", 32, "--refine", 2) == 0
    mesh, report = read_mesh(out / "mesh.ply"), json.loads((out / "report.json").read_text())
    assert np.abs(mesh.vertices).max() == pytest.approx(RADIUS, abs=0.03)
    assert report["input"] == {
        "file": name,
        "kind": "image",
        "up": "y",
        "width": picture.width,
        "height": picture.height,
    }
    assert report["coverage"] == {} and report["unit_cube"]["side"] == 1
    shown = np.array(Image.open(out / "preview.png"))[:, :640]
    assert (shown < 140).all(axis=2).mean() > 0.05 and shown[:5].min() > 240  # the photo, on white


def test_what_is_no_photo_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ("--model", weights(tmp_path / "m.safetensors", PICTURES), "--out", tmp_path / "out")
    (tmp_path / "scan.ply").write_bytes(b"rubbish")
    assert "expected a picture (.png, .jpg, .jpeg)" in refusal(capsys, TOOL, tmp_path / "scan.ply", *start)
    (tmp_path / "bad.png").write_bytes(b"rubbish")
    assert "expected a JPEG or PNG picture" in refusal(capsys, TOOL, tmp_path / "bad.png", *start)
    Image.new("RGB", (200, 3)).save(tmp_path / "thin.png")
    assert "thin.png: picture: expected at least 16 x 16 pixels, found 200 x 3" in refusal(
        capsys, TOOL, tmp_path / "thin.png", *start
    )
    assert "does not exist" in refusal(capsys, TOOL, tmp_path / "none.jpg", *start)
    assert not (tmp_path / "out").exists()
