"""make_watertight.py as a user calls it: ShapeNet's folders in, the papers' layout out, errors in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.sets.shapenet import WatertightShapes
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.structures import Mesh
from tests.tools.running import exit_code, refusal

pytest.importorskip("igl", reason="libigl is not installed (extra data)")
CHAIR = "03001627"


@pytest.fixture
def shapenet(tmp_path: Path) -> Path:
    """Two boxes without their upper side, and a file that is no mesh."""
    root = tmp_path / "ShapeNetCore.v2"
    box = trimesh.creation.box((0.3, 0.6, 0.3))
    faces = np.array(box.faces)[box.face_normals[:, 1] < 0.5]
    for name in ("good", "other"):
        path = root / CHAIR / name / "models" / "model_normalized.obj"
        path.parent.mkdir(parents=True)
        write_mesh(path, Mesh(np.array(box.vertices), faces))
    (root / CHAIR / "broken" / "models").mkdir(parents=True)
    (root / CHAIR / "broken" / "models" / "model_normalized.obj").write_text("nothing")
    return root


def test_models_are_written_where_the_rooms_look_for_them_and_broken_ones_named(shapenet, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["make_watertight", shapenet, "--out", out, "--resolution", 32, "--workers", 1, "--skip-broken"]
    assert exit_code(*command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "2 models written, 0 were there"
    assert printed[2].startswith("farthest from the input surface: 0.0")
    assert printed[3] == f"1 broken models left out: {CHAIR}/broken"
    assert printed[4].endswith("found no such line; check that the file is complete or export it again")
    (out / CHAIR / "train.lst").write_text("good\nother")
    shapes = WatertightShapes(out)
    for name in shapes.names(CHAIR, "train"):
        vertices, faces = shapes.load(CHAIR, name)
        surface = Mesh(vertices, faces).to_trimesh()
        assert surface.is_watertight and surface.volume > 0
        cell = 0.6 / 32
        np.testing.assert_allclose(surface.extents, [0.3 + 2 * cell, 0.6 + 2 * cell, 0.3 + 2 * cell], atol=0.2 * cell)
    assert exit_code(*command) == 0
    assert capsys.readouterr().out.splitlines()[1] == "0 models written, 2 were there"


def test_bad_input_is_one_sentence(shapenet, tmp_path, capsys):
    out = ("--out", tmp_path / "out", "--workers", 1)
    assert "--skip-broken" in refusal(capsys, "make_watertight", shapenet, *out)
    assert "expected a folder of models" in refusal(capsys, "make_watertight", tmp_path / "nowhere", *out)
    assert "found lamp asked for" in refusal(capsys, "make_watertight", shapenet, *out, "--classes", "lamp")
    assert "resolution: expected 16 to 512" in refusal(
        capsys, "make_watertight", shapenet, *out, "--resolution", 4, "--skip-broken"
    )
    inside = refusal(capsys, "make_watertight", shapenet, "--out", shapenet / "out")
    assert "expected a folder outside" in inside
