from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.gltf_document import vertex_numbers
from sparse_convonet.out_of_core.points.cloud_points import CloudPoints
from sparse_convonet.out_of_core.points.point_store import StoredPoints
from sparse_convonet.scan import page as scan_page
from sparse_convonet.scan.page import write_scan_page
from tests.report.page_house import house
from tests.report.test_page_figures import report


class InParts(CloudPoints):
    """The same points, part by part from one end to the other, as those of a store on the disk come."""

    def parts(self) -> Iterator[StoredPoints]:
        for rows in np.array_split(np.argsort(self.points.points_world[:, 0], kind="stable"), 5):
            yield self.points.select(rows)


@pytest.fixture
def points(rng: np.random.Generator) -> StoredPoints:
    mesh = house()
    near = mesh.vertices[rng.integers(0, len(mesh.vertices), 3000)] + rng.normal(0, 0.02, (3000, 3))
    return StoredPoints(near, rng.integers(0, 255, (3000, 3)).astype(np.uint8))


def glb(path: Path, **numbers: np.ndarray) -> Path:
    """The house in metres, y up."""
    mesh = house()
    made = trimesh.Trimesh(mesh.vertices @ up_rotation("y"), mesh.faces, process=False)
    made.vertex_attributes.update({f"_{name}": values.astype(np.float32) for name, values in numbers.items()})
    path.write_bytes(trimesh.Scene([made]).export(file_type="glb"))
    return path


def header(path: Path) -> dict[str, Any]:
    found = re.search(r'id="page-data">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found is not None
    return dict(json.loads(found[1]))


def test_the_page_is_the_same_for_points_in_memory_and_in_parts(tmp_path: Path, points: StoredPoints) -> None:
    light = glb(tmp_path / "mesh.glb")
    write_scan_page(tmp_path / "whole.html", light, CloudPoints(points), report())
    write_scan_page(tmp_path / "parts.html", light, InParts(points), report())
    assert (tmp_path / "whole.html").read_bytes() == (tmp_path / "parts.html").read_bytes()
    found = header(tmp_path / "whole.html")
    assert found["texts"]["title"] == "a.laz, b.laz" and found["arrays"]["points"]["rows"] == 3000
    assert set(found["arrays"]) == {"vertices", "faces", "distance", "points", "point_photo"}
    assert found["layout"]["storeys"][1]["floor"] - found["layout"]["base_z"] == pytest.approx(2.8, abs=0.06)


def test_numbers_that_the_vertices_carry_can_be_looked_at(tmp_path: Path, points: StoredPoints) -> None:
    count = len(house().vertices)
    observed, error = (np.arange(count) % 2).astype(float), np.linspace(0, 30, count)
    light = glb(tmp_path / "mesh.glb", observed=observed, EXPECTED_ERROR=error, other=error)
    found = vertex_numbers(light, ["observed", "expected_error"])
    assert set(found) == {"observed", "expected_error"}
    np.testing.assert_array_equal(found["observed"], observed)
    np.testing.assert_allclose(found["expected_error"], error, rtol=1e-6)
    write_scan_page(tmp_path / "page.html", light, CloudPoints(points), report())
    assert {"observed", "expected_error"} <= set(header(tmp_path / "page.html")["arrays"])


def test_a_scan_of_very_many_points_is_shown_without_distances_and_says_so(
    tmp_path: Path, points: StoredPoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_page, "MOST_MEASURED", 2999)
    monkeypatch.setattr(scan_page, "MOST_POINTS", 500)
    write_scan_page(tmp_path / "page.html", glb(tmp_path / "mesh.glb"), CloudPoints(points), report())
    found = header(tmp_path / "page.html")
    assert "distance" not in found["arrays"] and 300 < found["arrays"]["points"]["rows"] < 700
    assert "not measured for a scan of more than 2,999 points" in found["texts"]["notes"][0]
