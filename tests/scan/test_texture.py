"""reconstruct --texture: the colours of the points on the light mesh, the same through the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.io.gltf_document import GltfDocument
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.io.textured import write_textured
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import Mesh, PointCloud
from tests.synthetic_scan import ROOM, room_points
from tests.tools.running import refusal

FAR = np.array([300_000.0, 5_000_000.0, 100.0])


def _colours(points: np.ndarray) -> np.ndarray:
    """Red grows along x, green along y, blue along z."""
    return (30 + 200 * points / ROOM).clip(1, 255).astype(np.uint8)


@pytest.fixture
def asked(tmp_path: Path) -> ScanRequest:
    points = room_points(20_000, noise_m=0.003)
    write_points(tmp_path / "room.ply", PointCloud(points + FAR, _colours(points)))
    settings = ReconstructionSettings(voxel_size_m=0.12)
    return ScanRequest([tmp_path / "room.ply"], tmp_path / "out", settings, up="z", light=(), texture=512)


def test_the_light_mesh_carries_the_colours_of_the_points_in_one_piece_and_through_the_disk(
    asked: ScanRequest, tmp_path: Path
) -> None:
    report = reconstruct_scan(asked)
    facts = report["texture"]
    assert max(facts["width"], facts["height"]) == 512 and 5 < facts["texel_mm"] < 60 and facts["charts"] > 5
    assert json.loads((asked.out / "report.json").read_text(encoding="utf-8"))["texture"] == facts
    found = read_mesh(asked.out / "mesh_textured.glb")  # y up, coloured where its vertices lie in the picture
    light = read_mesh(asked.out / "mesh.glb")
    assert len(found.faces) == len(light.faces) and found.colours is not None
    np.testing.assert_allclose(found.vertices[found.faces], light.vertices[light.faces], atol=1e-3)
    local = np.column_stack([found.vertices[:, 0], -found.vertices[:, 2], found.vertices[:, 1]]) - FAR
    inside = ((local > -0.05) & (local < ROOM + 0.05)).all(axis=1)
    assert inside.mean() > 0.2  # all the rest is the outer side
    off = np.abs(found.colours[inside].astype(int) - _colours(local[inside]))
    assert np.median(off) < 8
    assert light.colours is not None
    corners = found.colours[found.faces].astype(int), light.colours[light.faces].astype(int)
    off = np.abs(corners[0] - corners[1])
    assert np.median(off) < 8 and (off < 40).mean() > 0.97

    document = GltfDocument.parse(asked.out / "mesh_textured.glb", (asked.out / "mesh_textured.glb").read_bytes())
    assert document.list_of("images")[0]["mimeType"] == "image/jpeg"
    through_disk = replace(asked, out=tmp_path / "disk", work=tmp_path / "work")
    assert reconstruct_scan(through_disk)["texture"] == facts
    assert (through_disk.out / "mesh_textured.glb").read_bytes() == (asked.out / "mesh_textured.glb").read_bytes()


def test_an_earlier_texture_goes_with_the_run_that_made_it(asked: ScanRequest) -> None:
    reconstruct_scan(asked)
    reconstruct_scan(replace(asked, texture=None, overwrite=True))
    assert not (asked.out / "mesh_textured.glb").exists() and (asked.out / "mesh.ply").exists()


@pytest.mark.parametrize("work", [False, True], ids=["in_memory", "through_disk"])
def test_points_without_colours_and_sizes_that_cannot_be_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], work: bool
) -> None:
    write_points(tmp_path / "grey.ply", PointCloud(room_points(4000)))
    more = ("--work", tmp_path / "work") if work else ()
    given = (tmp_path / "grey.ply", "--out", tmp_path / "out", "--voxel-size", 0.15, *more)
    said = refusal(capsys, "reconstruct_building", *given, "--texture")
    assert "--texture: expected points that all have colours, found some without, or all black; leave it out" in said
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
    said = refusal(capsys, "reconstruct_building", *given, "--texture", 100)
    assert "--texture: expected 256 to 16384 texels, found 100" in said


def test_a_picture_stands_upright_on_its_faces(tmp_path: Path) -> None:
    """A square of two faces; the upper left quarter of its picture is red."""
    picture = np.zeros((64, 32, 3), dtype=np.uint8)
    picture[:32, :16] = (255, 0, 0)
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) + [5e5, 0, 0]
    square = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), np.tile(np.array([0, 0, 1], np.float32), (4, 1)))
    write_textured(tmp_path / "square.glb", square, np.array([[0.0, 1], [1, 1], [1, 0], [0, 0]]), picture)
    loaded = trimesh.load(tmp_path / "square.glb", force="scene")
    assert isinstance(loaded, trimesh.Scene)
    (shown,) = loaded.geometry.values()
    image = np.asarray(shown.visual.material.baseColorTexture.convert("RGB"))  # type: ignore[union-attr]
    assert image.shape == picture.shape and np.abs(image.astype(int) - picture).mean() < 6
    top_left = np.argmin(np.linalg.norm(shown.vertices[:, :2] - (shown.vertices.min(0)[0], 1), axis=1))
    assert np.allclose(shown.visual.uv[top_left], [0, 1])  # type: ignore[union-attr]
    mesh = read_mesh(tmp_path / "square.glb")
    assert np.abs(mesh.vertices - corners).max() < 1e-6 and mesh.colours is not None
    assert mesh.colours[3].tolist()[0] > 200 and mesh.colours[1].tolist()[0] < 50
