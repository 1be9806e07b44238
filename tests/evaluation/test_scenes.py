"""Scenes of scans and meshes in any unit: checked, and in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.evaluation.comparison import ComparisonRow
from sparse_convonet.evaluation.comparison_report import draw_bars
from sparse_convonet.evaluation.scenes import in_metres, scan_scene
from sparse_convonet.io.points import write_points
from sparse_convonet.structures import Mesh, PointCloud
from tests.synthetic_scan import room_points


@pytest.mark.parametrize(("up", "scale"), [("z", 0.001), (None, 0.001), ("z", 0.01)])
def test_a_scan_in_other_units_is_refused_until_the_scale_is_said(tmp_path: Path, up: str | None, scale: float) -> None:
    points = room_points(5000) * [3, 2, 1]
    write_points(tmp_path / "a.ply", PointCloud(points / scale))
    with pytest.raises(ValueError, match=f"which looks like .*metres; run again with --scale {scale:g}"):
        scan_scene(tmp_path / "a.ply", 0.08, up, 0)
    scene, truth = scan_scene(tmp_path / "a.ply", 0.08, up, 0, scale)
    assert np.ptp(scene.points_world, axis=0) == pytest.approx(np.ptp(points, axis=0), rel=1e-4)
    assert truth.errors(scene.points_world[:10]).max() == 0


def test_a_scan_of_coarse_steps_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (room_points(5000) + [5e5, 4e6, 120]).astype(np.float32))
    with pytest.raises(ValueError, match="found steps of 0.25 m between points"):
        scan_scene(tmp_path / "a.npy", 0.08, "z", 0)


def test_a_mesh_of_large_faces_is_measured_by_its_surface() -> None:
    box = trimesh.creation.box((12.0, 8.0, 3.0))
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    assert in_metres(mesh, None).vertices.tolist() == mesh.vertices.tolist()
    millimetres = Mesh(mesh.vertices * 1000, mesh.faces)
    with pytest.raises(ValueError, match="looks like millimetres"):
        in_metres(millimetres, None)
    assert in_metres(millimetres, 0.001).vertices == pytest.approx(mesh.vertices)


def test_no_bars_are_drawn_where_no_method_came_to_a_number(tmp_path: Path) -> None:
    draw_bars(tmp_path / "bars.png", [ComparisonRow("a", 0, {}, "failed: out of memory")])
    assert list(tmp_path.iterdir()) == []
