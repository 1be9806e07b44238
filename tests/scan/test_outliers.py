"""What is strewn through a scan is left out, counted, said and written, in one piece and through the disk."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import Mesh, PointCloud
from tests.clouds.test_outliers import ROOM, room, strewn
from tests.oracles.same_surface import assert_same_surface


def area_in_the_air(mesh: Mesh) -> float:
    """m2 of surface farther than 40 cm from floor, walls and ceiling."""
    corners = mesh.vertices[mesh.faces]
    centres, normals = corners.mean(axis=1), np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside = np.minimum(centres, ROOM - centres).min(axis=1) > 0.4
    return float(np.linalg.norm(normals[inside], axis=1).sum() / 2)


def test_a_strewn_scan_in_one_piece_and_through_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([room(400, rng), strewn(9000, rng)])
    colours = np.full(points.shape, 90, dtype=np.uint8)
    write_points(tmp_path / "room.npz", PointCloud(points[rng.permutation(len(points))], colours))
    settings = ReconstructionSettings(voxel_size_m=0.12)
    whole = ScanRequest([tmp_path / "room.npz"], tmp_path / "out", settings, up="z", light=(), removed=True)
    stored = replace(whole, out=tmp_path / "stored", work=tmp_path / "work")
    with caplog.at_level(logging.INFO):
        reports = [reconstruct_scan(request) for request in (whole, stored)]
    dropped = reports[0]["input"]["dropped"]
    assert 7000 < dropped["outliers"] < 9500 and dropped["ghosts"] == 0 and reports[1]["input"]["dropped"] == dropped
    assert "outliers  are strewn through space, 15 % of the points" in caplog.text and "--keep-outliers" in caplog.text
    removed = [(request.out / "removed.ply").read_bytes() for request in (whole, stored)]
    taken = read_points(whole.out / "removed.ply")
    assert removed[0] == removed[1] and len(taken) == dropped["outliers"] and taken.colours is not None
    assert_same_surface(*(read_mesh(request.out / "mesh.ply") for request in (stored, whole)))
    assert area_in_the_air(read_mesh(whole.out / "mesh.ply")) < 0.5
    kept = replace(whole, keep_outliers=True, removed=False, overwrite=True)
    assert reconstruct_scan(kept)["input"]["dropped"]["outliers"] == 0
    assert area_in_the_air(read_mesh(kept.out / "mesh.ply")) > 10
