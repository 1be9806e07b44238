from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.report.page_figures import Figure
from sparse_convonet.report.reconstruction_page import write_reconstruction_page
from sparse_convonet.structures import Mesh
from tests.report.page_house import house_page

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "sparse_convonet" / "report" / "viewer" / "page.html"
VIEWER = ROOT / "tools" / "viewer"


class Page(HTMLParser):
    """What a browser sees: tags with their attributes, and the text of each element with an id."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._id: str | None = None
        self.feed(content)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._id = dict(attributes).get("id") or tag

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.texts.setdefault(self._id, data)

    @property
    def header(self) -> dict[str, dict[str, dict[str, object]]]:
        return dict(json.loads(self.texts["page-data"]))


def test_the_page_is_one_file_that_loads_nothing_and_runs_its_own_script_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_reconstruction_page(path, house_page()) == len(house_page().mesh_world.faces)
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
    content = path.read_text(encoding="utf-8")
    page = Page(content)
    loading = ("src", "href", "data", "action", "poster", "srcset")
    assert not [(tag, found) for tag, found in page.tags if any(name in found for name in loading)]
    policy = next(found["content"] for tag, found in page.tags if "http-equiv" in found)
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1 and f"script-src 'sha256-{digest}';" in policy
    assert not re.findall(r"https?://(?!www\.w3\.org/)", content), "addresses other than names of XML"
    assert "Permission is hereby granted, free of charge" in content and "three.js authors" in content
    assert "@title@" not in content and "@data@" not in content


def test_text_is_shown_as_it_is_and_never_taken_for_html(tmp_path: Path) -> None:
    bad = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & @data@ <!-- \u2028 'ä'"
    page = house_page(bad, notes=[bad], figures=[Figure(bad, bad, bad)])
    write_reconstruction_page(tmp_path / "page.html", page)
    write_reconstruction_page(tmp_path / "plain.html", house_page())
    found, plain = (Page((tmp_path / name).read_text(encoding="utf-8")) for name in ("page.html", "plain.html"))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    texts = found.header["texts"]
    assert texts["title"] == bad and texts["notes"] == [bad]
    assert texts["sections"][0] == {"heading": "Figures", "rows": [[bad, bad, bad]]}  # type: ignore[index]
    assert found.texts["title"] == bad


def test_what_a_mesh_does_not_have_is_not_in_the_page(tmp_path: Path) -> None:
    full, path = house_page(), tmp_path / "page.html"
    write_reconstruction_page(path, full)
    arrays = Page(path.read_text(encoding="utf-8")).header["arrays"]
    assert set(arrays) == {"vertices", "faces", "photo", "distance", "observed", "points", "point_photo"}
    mesh = Mesh(full.mesh_world.vertices, full.mesh_world.faces)
    bare = replace(full, mesh_world=mesh, point_colours=None, vertex_numbers={}, points_world=np.zeros((0, 3)))
    write_reconstruction_page(path, bare)
    arrays = Page(path.read_text(encoding="utf-8")).header["arrays"]
    assert set(arrays) == {"vertices", "faces", "points"} and arrays["points"]["rows"] == 0


def test_storeys_are_those_of_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_reconstruction_page(path, house_page())
    layout = Page(path.read_text(encoding="utf-8")).header["layout"]
    storeys = layout["storeys"]
    assert isinstance(storeys, list) and len(storeys) == 2 and all(each["opens"] for each in storeys)
    heights = [each["floor"] - layout["base_z"] for each in storeys]  # type: ignore[operator]
    assert heights == pytest.approx([0.0, 2.8], abs=0.06)
    assert all(each["bottom"] < each["floor"] < each["cut"] for each in storeys)


def rough(count: int = 130) -> Mesh:
    """A hilly square of some 2 * count^2 faces."""
    axis = np.linspace(0, 20, count)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    heights = np.sin(3 * x) * np.cos(2 * y) + np.random.default_rng(0).normal(0, 0.02, x.shape)
    corner = np.arange(count * count).reshape(count, count)
    a, b, c, d = (each.reshape(-1) for each in (corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]))
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return Mesh(np.stack([x, y, heights], axis=-1).reshape(-1, 3), faces)


def test_a_mesh_of_too_many_faces_is_simplified_and_the_page_says_so(tmp_path: Path) -> None:
    mesh, path = rough(), tmp_path / "page.html"
    page = house_page(
        mesh_world=mesh, vertex_numbers={"distance": mesh.vertices[:, 0] * 10}, elsewhere="in the folder tiles"
    )
    shown = write_reconstruction_page(path, page, most_faces=5000)
    assert 4000 < shown <= 5000
    found = Page(path.read_text(encoding="utf-8"))
    notes = found.header["texts"]["notes"]
    assert notes == [  # type: ignore[comparison-overlap]
        f"This page shows a coarser mesh of {shown:,} faces; the one with {len(mesh.faces):,} is in the folder tiles."
    ]
    arrays = found.header["arrays"]
    assert arrays["faces"]["rows"] == 3 * shown and arrays["distance"]["rows"] == arrays["vertices"]["rows"]


def test_a_page_stays_below_its_size_or_is_not_written_at_all(tmp_path: Path) -> None:
    path, page = tmp_path / "page.html", house_page(mesh_world=rough(), vertex_numbers={})
    whole = write_reconstruction_page(path, page)
    size, template = path.stat().st_size, TEMPLATE.stat().st_size
    limit = template + (size - template) // 2
    shown = write_reconstruction_page(path, page, most_bytes=limit)
    assert path.stat().st_size <= limit and 1000 <= shown < whole
    before = path.read_bytes()
    with pytest.raises(ValueError, match="expected a page of at most 1000 bytes, found"):
        write_reconstruction_page(path, page, most_bytes=1000)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_what_cannot_be_shown_is_refused() -> None:
    page = house_page()
    with pytest.raises(ValueError, match="expected a mesh with faces, found none"):
        replace(page, mesh_world=Mesh(page.mesh_world.vertices, np.zeros((0, 3), dtype=np.int64)))
    with pytest.raises(ValueError, match="expected vertex numbers named distance, .*, found 'heat'"):
        replace(page, vertex_numbers={"heat": np.zeros(len(page.mesh_world.vertices))})
    with pytest.raises(ValueError, match="numbers of distance, one per vertex, found shape \\(3,\\)"):
        replace(page, vertex_numbers={"distance": np.zeros(3)})


def test_the_template_is_made_from_the_sources_that_stand_beside_it() -> None:
    sources = [
        "build.mjs",
        "package.json",
        "package-lock.json",
        *sorted(f"src/{each.name}" for each in (VIEWER / "src").iterdir()),
    ]
    digest = hashlib.sha256(b"".join((VIEWER / name).read_bytes() for name in sources)).hexdigest()
    assert f"sha256 {digest}" in TEMPLATE.read_text(encoding="utf-8"), "run tools/build_viewer.sh"


def test_the_sources_name_no_registry() -> None:
    lock = json.loads((VIEWER / "package-lock.json").read_text(encoding="utf-8"))
    assert not [name for name, entry in lock["packages"].items() if "resolved" in entry]
    assert all("integrity" in entry for name, entry in lock["packages"].items() if name)
