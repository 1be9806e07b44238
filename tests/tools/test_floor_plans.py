"""reconstruct --floor-plan: what it writes, the same through the disk, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import ezdxf
import numpy as np
import pytest

from sparse_convonet.floor_plan.dxf import write_dxf
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import ROOM, room_points
from tests.tools.running import exit_code, refusal

TOOL = "reconstruct_building"
FAR = np.array([500_000.25, 5_300_000.5, 120.0])
PLAN_FILES = ["floor_plan.dxf", "floor_plan_1.svg", "rooms.json"]
OPTIONS = ("--voxel-size", 0.1, "--up", "z", "--formats", "ply", "--floor-plan")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room far from the origin, as scans in a country's coordinates are."""
    path = tmp_path_factory.mktemp("scan") / "scan.ply"
    write_points(path, PointCloud(room_points(30_000) + FAR))
    return path


@pytest.fixture(scope="module")
def out(scan: Path) -> Path:
    folder = scan.parent / "out"
    folder.mkdir()
    for name in ("floor_plan_2.svg", "floor_plan_7.svg", "floor_plan_notes.svg"):
        (folder / name).write_text("earlier")
    assert exit_code(TOOL, scan, "--out", folder, *OPTIONS, "--overwrite") == 0
    return folder


def test_the_room_has_its_area_in_the_coordinates_of_the_scan(out: Path) -> None:
    """Drawings of an earlier run are gone; what no run writes stays."""
    expected = [*PLAN_FILES, "floor_plan_notes.svg", "mesh.ply", "preview.png", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == sorted(expected)
    said = json.loads((out / "rooms.json").read_text())
    assert said["units"] == "m" and said["frame"] == {"x": "x", "y": "y", "height": "z"}
    (storey,) = said["storeys"]
    (room,) = storey["rooms"]
    assert storey["floor_z"] == pytest.approx(FAR[2], abs=0.1)
    assert room["area_m2"] == pytest.approx(ROOM[0] * ROOM[1], rel=0.04)
    np.testing.assert_allclose(room["centre"], FAR[:2] + ROOM[:2] / 2, atol=0.05)
    np.testing.assert_allclose(np.min(room["outline"], axis=0), FAR[:2], atol=0.06)
    np.testing.assert_allclose(np.max(room["outline"], axis=0), FAR[:2] + ROOM[:2], atol=0.06)
    report = json.loads((out / "report.json").read_text())
    assert report["floor_plans"] == [
        {
            "floor_z_m": round(storey["floor_z"], 2),
            "rooms": 1,
            "area_m2": round(room["area_m2"], 1),
            "room_areas_m2": {"1": round(room["area_m2"], 1)},
            "open_to_the_storey_below": [],
            "doors": 0,
            "windows": 0,
        }
    ]
    assert report["seconds"]["floor_plan"] > 0


def test_the_drawing_for_cad_is_in_metres_and_keeps_a_tenth_of_a_millimetre_far_from_the_origin(out: Path) -> None:
    document = ezdxf.readfile(out / "floor_plan.dxf")
    assert document.header["$INSUNITS"] == 6
    assert {"S1_WALLS", "S1_OPENINGS", "S1_ROOMS", "S1_TEXT", "S1_FURNITURE", "S1_WALLS_GUESSED"} <= {
        layer.dxf.name for layer in document.layers
    }
    room = json.loads((out / "rooms.json").read_text())["storeys"][0]["rooms"][0]
    line: Any
    (line,) = document.modelspace().query('LWPOLYLINE[layer=="S1_ROOMS"]')
    assert line.closed
    np.testing.assert_allclose([point[:2] for point in line.get_points()], room["outline"][:-1], atol=1e-4)
    (text,) = document.modelspace().query('TEXT[layer=="S1_TEXT"]')
    assert text.dxf.text == f"1: {room['area_m2']:.1f} m2"
    assert len(document.modelspace().query('LWPOLYLINE[layer=="S1_WALLS"]')) >= 2  # outer and inner outline


def test_the_same_plan_is_the_same_drawing(tmp_path: Path) -> None:
    for name in ("a.dxf", "b.dxf"):
        write_dxf(tmp_path / name, [])
        time.sleep(0.01)  # dates are written to less than a millisecond
    assert (tmp_path / "a.dxf").read_bytes() == (tmp_path / "b.dxf").read_bytes()


def test_the_drawing_to_print_shows_walls_rooms_a_scale_and_says_what_it_is(out: Path) -> None:
    drawing = (out / "floor_plan_1.svg").read_text(encoding="utf-8")
    tree = ElementTree.fromstring(drawing)
    kinds = [element.get("class") for element in tree.iter() if element.get("class")]
    assert kinds.count("room") == 1 and kinds.count("wall") == 1 and kinds.count("scale") == 1
    words = [element.text or "" for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    room = json.loads((out / "rooms.json").read_text())["storeys"][0]["rooms"][0]
    for expected in (
        "scan.ply: storey 1, floor at 1",
        "1",
        f"{room['area_m2']:.1f} m²",
        "2 m",
        "right is x of the scan",
    ):
        assert any(each.startswith(expected) for each in words), expected
    left, top, width, height = (float(number) for number in (tree.get("viewBox") or "").split())
    numbers = np.array(
        re.findall(r"(-?[0-9.]+) (-?[0-9.]+)", next(e.get("d") or "" for e in tree.iter() if e.get("class") == "wall")),
        float,
    )
    assert (numbers >= [left, top]).all() and (numbers <= [left + width, top + height]).all()


def test_the_plan_is_the_same_through_the_disk(
    scan: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiles are small, so that a section crosses several."""
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (32,))
    disk = tmp_path / "disk"
    assert exit_code(TOOL, scan, "--out", disk, *OPTIONS, "--work", tmp_path / "work") == 0
    assert json.loads((disk / "report.json").read_text())["tiles"]["count"] > 1
    for name in ("rooms.json", "floor_plan_1.svg"):
        assert (disk / name).read_bytes() == (out / name).read_bytes()


def test_without_its_packages_a_plan_is_refused_before_anything_is_read(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ezdxf", None)
    said = refusal(capsys, TOOL, scan, "--out", tmp_path / "out", "--floor-plan")
    assert "--floor-plan needs the package ezdxf, which is not installed" in said
    assert not (tmp_path / "out").exists()


def test_earlier_plans_are_kept_unless_they_may_be_replaced(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "floor_plan_3.svg").write_text("earlier")
    assert "floor_plan_3.svg already" in refusal(capsys, TOOL, scan, "--out", tmp_path, "--floor-plan")
