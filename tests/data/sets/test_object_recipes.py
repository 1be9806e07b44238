"""Objects alone: in the middle of the cube, with exact points, truth and voxels; test pieces are unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
from PIL import Image

from sparse_convonet.data.convonet.binvox import read_binvox
from sparse_convonet.data.convonet.layout import find_models, read_metadata
from sparse_convonet.data.convonet.samples import read_occupancy, read_surface
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.sets.model_set import ModelJob
from sparse_convonet.data.sets.object_recipes import ObjectRecipe, unit_mesh
from sparse_convonet.data.sets.shape_stock import CLASSES, PackStock
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.mesh.raycast import TriangleScene
from tests.tools.running import exit_code, refusal

CHAIR = "03001627"
FIRSTS = {"train": 0, "val": 150, "test": 160}
SMALL = ["--points", "500", "--queries", "600", "--workers", "1"]


def test_models_are_solids_of_the_cube_with_points_on_their_faces(tmp_path: Path) -> None:
    recipe = ObjectRecipe(FIRSTS, points=2000, queries=4000)
    job = ModelJob(CHAIR, "test", 161)
    recipe(job, tmp_path)
    mesh = read_mesh(tmp_path / "mesh.off")
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert (low + high) / 2 == pytest.approx(np.zeros(3), abs=1e-6) and (high - low).max() == pytest.approx(1)
    assert mesh.to_trimesh().is_watertight and mesh.to_trimesh().volume > 0
    surface = read_surface(tmp_path / "pointcloud.npz")
    distance, normal = TriangleScene(mesh.vertices, mesh.faces).nearest(surface.points_unit.astype(np.float64))
    assert distance.max() < 1e-3 and surface.normals is not None  # half precision
    assert np.median(np.einsum("ij,ij->i", normal, surface.normals.astype(np.float64))) == pytest.approx(1, abs=1e-3)
    truth = read_occupancy(tmp_path / "points.npz")
    queries = truth.points_unit.astype(np.float64)
    assert len(truth) == 4000 and np.abs(queries).max() <= 0.551 and np.abs(queries).max() > 0.54
    solid = o3d.t.geometry.RaycastingScene()
    solid.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    by_rays = solid.compute_occupancy(queries.astype(np.float32), nsamples=3).numpy() > 0.5
    assert (by_rays != truth.occupied).mean() < 0.001 and 0.01 < truth.occupied.mean() < 0.9
    voxels = read_binvox(tmp_path / "model.binvox")
    cells = np.floor((queries - voxels.translate) * 32 / voxels.scale).astype(int)
    assert voxels.occupied.shape == (32, 32, 32) and voxels.occupied[tuple(cells[truth.occupied].T)].all()


def test_pieces_come_as_they_are_and_then_stretched_and_mirrored_outside_out() -> None:
    names = PackStock(FurnitureLibrary.load()).names(CHAIR, "test")
    recipe = ObjectRecipe(FIRSTS)
    plain = recipe.make(ModelJob(CHAIR, "test", 160))
    expected = unit_mesh(PackStock(FurnitureLibrary.load()).load(CHAIR, names[0]), np.ones(3))
    assert np.array_equal(plain.vertices, expected.vertices) and np.array_equal(plain.faces, expected.faces)
    ratios = []
    for turn in range(1, 7):
        other = recipe.make(ModelJob(CHAIR, "test", 160 + turn * len(names)))
        assert len(other.faces) == len(plain.faces) and other.to_trimesh().volume > 0
        ratios.append(np.ptp(other.vertices, axis=0) / np.ptp(plain.vertices, axis=0))
    assert len({tuple(np.round(each, 6)) for each in ratios}) == 6
    assert all(each.max() / each.min() < 1.33 / 0.75 + 1e-6 for each in ratios)


def test_splits_share_no_piece() -> None:
    stock = PackStock(FurnitureLibrary.load())
    for synset in CLASSES:
        names = [set(stock.names(synset, split)) for split in FIRSTS]
        assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]


def test_the_tool_makes_a_set_with_lists_names_and_a_sheet_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "objects"
    arguments = ["--out", out, "--classes", "chair", "sofa", "--count", "4", *SMALL]
    assert exit_code("make_objects", *arguments) == 0
    assert "8 models (3 train, 0 val, 1 test in each of 2 classes), 8 written now" in capsys.readouterr().out
    assert [model.category for model in find_models(out, "test")] == ["03001627", "04256520"]
    assert read_metadata(out) == {"03001627": "chair", "04256520": "sofa"}
    picture = np.array(Image.open(out / "contact_sheet.png"))
    assert picture.shape[1] == 2 * 252 + 12 and (picture < 240).mean() > 0.1
    assert exit_code("make_objects", *arguments) == 0
    assert "0 written now" in capsys.readouterr().out
    assert "begun with other settings" in refusal(capsys, "make_objects", *arguments, "--seed", "1")
    assert "--count: expected at least 1" in refusal(capsys, "make_objects", "--out", out, "--count", "0")
