"""A mesh written as OpenUSD is read back as it was, also far from the origin."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import write_points
from sparse_convonet.io.usd import write_usd
from sparse_convonet.structures import Mesh, PointCloud
from tests.synthetic_scan import room_points
from tests.tools.running import exit_code, refusal

TOOL = "reconstruct_building"


def test_it_is_read_back_as_it_was(rng: np.random.Generator, tmp_path: Path) -> None:
    pxr = pytest.importorskip("pxr", reason="usd-core is not installed (extra usd)")
    from pxr import Usd, UsdGeom

    assert pxr is not None
    vertices = rng.normal(size=(40, 3)) * 9 + [500_000.0, 5_200_000.0, 80.0]
    normals = rng.normal(size=(40, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    colours = rng.integers(0, 256, (40, 3)).astype(np.uint8)
    colours[:2] = [[0, 255, 188], [1, 10, 64]]
    errors = rng.random(40).astype(np.float32)
    mesh = Mesh(vertices, rng.integers(0, 40, (60, 3)), normals, colours, {"expected_error": errors})
    write_usd(tmp_path / "mesh.usd", mesh)
    stage = Usd.Stage.Open(str(tmp_path / "mesh.usd"))
    assert UsdGeom.GetStageUpAxis(stage) == "Z" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    prim = UsdGeom.Mesh(stage.GetDefaultPrim())
    assert prim.ValidateTopology(prim.GetFaceVertexIndicesAttr().Get(), prim.GetFaceVertexCountsAttr().Get(), 40)[0]
    place = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(prim.GetPrim()))  # of rows
    found = np.array(prim.GetPointsAttr().Get()) @ place[:3, :3] + place[3, :3]
    np.testing.assert_allclose(found, vertices, atol=1e-5)
    np.testing.assert_array_equal(np.array(prim.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), mesh.faces)
    assert set(prim.GetFaceVertexCountsAttr().Get()) == {3}
    np.testing.assert_array_equal(np.array(prim.GetNormalsAttr().Get()), normals)
    shown = np.array(prim.GetDisplayColorAttr().Get())
    assert shown[0] == pytest.approx([0.0, 1.0, 0.5029], abs=1e-4)  # a linear half is 188 of 255
    assert shown[1] == pytest.approx([1 / 255 / 12.92, 10 / 255 / 12.92, 0.0513], abs=1e-4)
    found_errors = UsdGeom.PrimvarsAPI(prim).GetPrimvar("expected_error")
    assert found_errors.GetInterpolation() == "vertex"
    np.testing.assert_array_equal(np.array(found_errors.Get()), errors)
    low, high = (np.array(each) for each in prim.GetExtentAttr().Get())
    np.testing.assert_allclose([low + place[3, :3], high + place[3, :3]], [vertices.min(0), vertices.max(0)], atol=1e-5)


def test_a_scan_becomes_usd_and_without_its_package_nothing_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pxr", reason="usd-core is not installed (extra usd)")
    from pxr import Usd, UsdGeom

    scan, out = tmp_path / "scan.ply", tmp_path / "out"
    write_points(scan, PointCloud(room_points(8000)))
    options = ("--voxel-size", 0.12, "--up", "z", "--formats", "usd")
    assert exit_code(TOOL, scan, "--out", out, *options) == 0
    stage = Usd.Stage.Open(str(out / "mesh.usd"))
    prim = UsdGeom.Mesh(stage.GetDefaultPrim())
    assert len(prim.GetFaceVertexCountsAttr().Get()) > 500
    assert {"observed", "expected_error"} <= {each.GetPrimvarName() for each in UsdGeom.PrimvarsAPI(prim).GetPrimvars()}
    monkeypatch.setitem(sys.modules, "pxr", None)
    said = refusal(capsys, TOOL, scan, "--out", tmp_path / "none", *options)
    assert "--formats usd needs the package pxr, which is not installed" in said and "usd-core" in said
    assert not (tmp_path / "none").exists()
