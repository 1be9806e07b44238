"""The site builds without a warning and without a network, and its pages lead to each other."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

_NEEDS = ("mkdocs", "material", "mkdocstrings")
MISSING = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (extra docs)")

# What a browser fetches by itself when it shows a page; links that a reader may follow are not among it.
_FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//|<link\b[^>]*\bhref=["']?(?:https?:)?//"""
)
_LINK = re.compile(r"""<a\b[^>]*\bhref=["']?([^"'\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "WARNING" not in done.stdout + done.stderr, done.stdout + done.stderr
    return folder


def test_no_page_fetches_anything(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 20
    for page in pages:
        assert _FETCHED.search(page.read_text(encoding="utf-8")) is None, page.name
    for sheet in site.rglob("*.css"):
        assert re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")) is None, sheet.name


def test_links_between_pages_lead_to_pages_of_the_site(site: Path) -> None:
    found = 0
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # which is served for any address, so its links begin at the root
            continue
        for link in _LINK.findall(page.read_text(encoding="utf-8")):
            name = link.partition("#")[0]
            if name and not re.match(r"[a-z]+:", name) and name != ".":
                assert not name.endswith(".md") and (page.parent / name).exists(), f"{page.name}: {link}"
                found += 1
    assert found > 500


def test_home_is_the_readme_and_notebooks_are_pages(site: Path) -> None:
    home = (site / "index.html").read_text(encoding="utf-8")
    assert 'src="demo.png"' in home and 'href="SCAN.html"' in home and 'href="notebooks/first_mesh.html"' in home
    notebook = (site / "notebooks" / "first_mesh.html").read_text(encoding="utf-8")
    assert "from_pretrained" in notebook and 'href="first_mesh.ipynb"' in notebook
    assert (site / "notebooks" / "first_mesh.ipynb").is_file()


def test_the_page_of_the_api_tells_of_arguments_and_of_methods(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "API.html").read_text(encoding="utf-8"))
    for words in ("Turns point clouds into meshes", "voxel_size_m", "world metres with z up unless", "read_points"):
        assert words in text
