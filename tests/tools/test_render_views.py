"""tools/render_views.py: pictures that show a mesh where the camera file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.convonet.renderings import count_views, read_view
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.structures import Mesh
from tests.tools.running import exit_code, refusal

TOOL = "render_views"


def write_box(path: Path, high: tuple[float, float, float]) -> None:
    box = trimesh.creation.box(bounds=[(-0.3, -0.5, -0.1), high])
    write_mesh(path, Mesh(np.asarray(box.vertices), np.asarray(box.faces)))


def test_vertices_project_into_the_silhouette_and_fill_it(tmp_path: Path) -> None:
    write_box(tmp_path / "box.off", (0.3, 0.5, 0.2))
    out = tmp_path / "img_choy2016"
    assert exit_code(TOOL, tmp_path / "box.off", "--out", out, "--views", 5) == 0
    assert count_views(out) == 5
    vertices = read_mesh(tmp_path / "box.off").vertices
    seen = []
    for number in range(5):
        view = read_view(out, number)
        assert view.image.shape == (137, 137, 3)
        camera = vertices @ view.world_to_camera[:, :3].T + view.world_to_camera[:, 3]
        pixels = camera @ view.intrinsics.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        rows, columns = np.nonzero(view.image.min(axis=2) < 235)
        assert (camera[:, 2] > 0).all()
        assert (columns.min(), rows.min()) == pytest.approx(pixels.min(axis=0), abs=2)
        assert (columns.max(), rows.max()) == pytest.approx(pixels.max(axis=0), abs=2)
        seen.append(view.world_to_camera)
        place = -view.world_to_camera[:, :3].T @ view.world_to_camera[:, 3]
        elevation = np.degrees(np.arcsin((place[1]) / np.linalg.norm(place - (0, 0, 0.05))))
        assert 24 < elevation < 31
    assert len({tuple(np.round(each, 3).reshape(-1)) for each in seen}) == 5


def test_a_set_gets_pictures_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        (tmp_path / "set" / "a" / f"m{number}").mkdir(parents=True)
        write_box(tmp_path / "set" / "a" / f"m{number}" / "mesh.off", (0.2 + number / 10, 0.4, 0.3))
    (tmp_path / "set" / "a" / "train.lst").write_text("m0\nm1")
    arguments = (tmp_path / "set", "--views", 2, "--pixels", 32)
    assert exit_code(TOOL, *arguments) == 0 and "2 pictures of each of 2 meshes" in capsys.readouterr().out
    first = (tmp_path / "set" / "a" / "m0" / "img_choy2016" / "000.jpg").read_bytes()
    assert exit_code(TOOL, *arguments, "--seed", 1) == 0 and "0 meshes rendered, 2 had some" in capsys.readouterr().out
    assert exit_code(TOOL, *arguments, "--seed", 1, "--overwrite") == 0
    assert (tmp_path / "set" / "a" / "m0" / "img_choy2016" / "000.jpg").read_bytes() != first


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_box(tmp_path / "box.off", (0.3, 0.5, 0.2))
    assert "does not exist" in refusal(capsys, TOOL, tmp_path / "none.off", "--out", tmp_path / "o")
    assert "--out: expected a folder" in refusal(capsys, TOOL, tmp_path / "box.off")
    assert "--views: expected 1 to 1000" in refusal(
        capsys, TOOL, tmp_path / "box.off", "--out", tmp_path / "o", "--views", 0
    )
    assert exit_code(TOOL, tmp_path / "box.off", "--out", tmp_path / "o", "--views", 1, "--pixels", 16) == 0
    assert "holds pictures already" in refusal(capsys, TOOL, tmp_path / "box.off", "--out", tmp_path / "o")
