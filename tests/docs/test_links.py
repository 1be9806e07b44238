"""Every link, anchor and path on the pages leads somewhere, and the checker sees those that do not."""

from __future__ import annotations

import re

import pytest

from tests.docs.links import file_anchor, missing_paths, site_anchor, wrong_links
from tests.docs.pages import ROOT, documentation, parse_page

PAGES = documentation()
MOST_LINES_OF_README = 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)
def test_links_anchors_and_paths_of_a_page_lead_somewhere(page) -> None:  # type: ignore[no-untyped-def]
    assert [*wrong_links(page), *missing_paths(page)] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a](MISSING.md)", "x.md:1: MISSING.md: there is no MISSING.md"),
        ("\n![a](missing.png)", "x.md:2: missing.png: there is no missing.png"),
        ("[a](SCAN.md#no-such-heading)", "SCAN.md has no heading #no-such-heading"),
        ("# One\n[a](#two)", "x.md has no heading #two"),
        ("[a](../../elsewhere.md)", "there is no ../../elsewhere.md"),
        ("see `tools/no_such_tool.py`", "there is no tools/no_such_tool.py"),
        ("see `mesh/no_such_part.py`", "there is no mesh/no_such_part.py"),
        ("    run configs/rooms/sparse65.yaml", "there is no configs/rooms/sparse65.yaml"),
        ("see tests/nothing/here", "there is no tests/nothing/here"),
    ],
)
def test_the_checker_finds_what_leads_nowhere(text: str, message: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = ROOT / "docs" / "x.md"
    page = parse_page(path, text)
    if "(#" in text:  # of the page itself, which then has to be a file
        path = tmp_path / "x.md"
        path.write_text(text, encoding="utf-8")
        page = parse_page(path, text)
    assert any(message in found for found in [*wrong_links(page), *missing_paths(page)])


@pytest.mark.parametrize(
    "text",
    [
        "[a](SCAN.md#what-comes-out), [b](https://example.org/x.md), `mesh/point_support.py`",
        "`out/demo/preview.png`, `rooms/sparse64`, `<out>/<class>/x.py`, `~/scans/a.py`, `/elsewhere/a.py`",
        "```\n[a](MISSING.md)\n```",
    ],
)
def test_the_checker_lets_pass_what_is_right(text: str) -> None:
    page = parse_page(ROOT / "docs" / "x.md", text)
    assert [*wrong_links(page), *missing_paths(page)] == []


def test_anchors_are_those_of_the_site_and_of_the_files() -> None:
    assert site_anchor("What was measured, and how") == file_anchor("What was measured, and how")
    assert site_anchor("a - b") == "a-b" and file_anchor("a - b") == "a---b"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES_OF_README


def test_every_page_is_in_the_navigation_of_the_site_and_every_public_name_on_the_page_of_the_api() -> None:
    import sparse_convonet

    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES:
        name = page.path.relative_to(ROOT / "docs") if page.path.parent != ROOT else page.path.name
        wanted = {"README.md": "index.md"}.get(str(name), re.sub(r"\.ipynb$", ".md", str(name)))
        assert f": {wanted}\n" in navigation
    api = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
    for name, home in sparse_convonet._HOMES.items():
        assert re.search(rf"^::: sparse_convonet\.[\w.]*\b{home.partition(':')[2] or name}$", api, re.M), name
