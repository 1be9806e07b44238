"""Several viewers in one page: what it holds, and in a real browser, that they move, cut and colour together."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.report.reconstruction_page import write_reconstruction_page
from sparse_convonet.report.views_page import View, write_views_page
from tests.report.headless_browser import HeadlessBrowser, chromium
from tests.report.page_house import house_page

PROGRAM = chromium()
WIDTH, HEIGHT = 1400, 560
LEFT, RIGHT = np.s_[170:, 490:910], np.s_[170:, 950:1370]  # the models of the second and the third, below the words
in_browser = pytest.mark.skipif(PROGRAM is None, reason="no chromium; apt-get install -y chromium")


def test_what_stands_in_the_page_is_text_and_addresses_are_relative(tmp_path: Path) -> None:
    views = [View("<b>a</b>", "F 5 cm 0.9 & more", tmp_path / "views" / "a b#1.html")]
    write_views_page(tmp_path / "all.html", "</title><script>", views, "Colours")
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert text.count("<script>") == 1 and "<b>a</b>" not in text and "0.9 &amp; more" in text
    assert 'src="views/a%20b%231.html"' in text and str(tmp_path) not in text
    with pytest.raises(ValueError, match="expected at least one view"):
        write_views_page(tmp_path / "none.html", "none", [])
    with pytest.raises(ValueError):
        write_views_page(tmp_path / "views" / "all.html", "elsewhere", [View("a", "", tmp_path / "a.html")])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadlessBrowser]:
    """Two houses, of which the second reaches farther to one side, so that the middles of their pages differ, beside one
    without errors."""
    folder = tmp_path_factory.mktemp("views")
    first = house_page("first")
    numbers = {"error": np.linspace(0, 100, len(first.mesh_world.vertices))}
    first = replace(first, vertex_numbers=numbers, colour="error", error_high_mm=100.0)
    far = first.mesh_world.vertices.copy()
    far[0] += [3, 0, 0]
    second = replace(first, mesh_world=replace(first.mesh_world, vertices=far))
    views = []
    bare = replace(first, vertex_numbers={})
    for name, page in (("bare", bare), ("first", first), ("second", second)):
        write_reconstruction_page(folder / f"{name}.html", page)
        views.append(View(name, "", folder / f"{name}.html"))
    write_views_page(folder / "all.html", "Both", views)
    assert PROGRAM is not None
    with HeadlessBrowser(PROGRAM, folder / "profile", WIDTH, HEIGHT) as opened:
        opened.call("Page.navigate", url=(folder / "all.html").as_uri())
        opened.wait("document.documentElement?.dataset.ready === '3'")
        yield opened


def at_rest(browser: HeadlessBrowser) -> tuple[np.ndarray, np.ndarray]:
    """Both models, when nothing moves any more."""
    last = browser.picture()
    for _ in range(100):
        time.sleep(0.5)
        found = browser.picture()
        if np.array_equal(found, last):
            return found[LEFT], found[RIGHT]
        last = found
    raise AssertionError("the picture never came to rest")


def differ(first: np.ndarray, second: np.ndarray) -> float:
    return float((np.abs(first - second).max(axis=2) > 24).mean())


@in_browser
@pytest.mark.slow
def test_what_is_done_in_one_is_done_in_the_other(browser: HeadlessBrowser) -> None:
    left, right = at_rest(browser)
    assert browser.said == []
    coloured = left.max(axis=2) - left.min(axis=2) > 60
    assert coloured.mean() > 0.05  # by errors, though the page that opened first may have none
    assert differ(left, right) < 0.1  # the same view of nearly the same house
    for kind, x, y in (("mousePressed", 1100, 400), ("mouseMoved", 1210, 380), ("mouseReleased", 1210, 380)):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    turned_left, turned_right = at_rest(browser)
    assert differ(turned_left, left) > 0.1 and differ(turned_left, turned_right) < 0.1
    browser.click(1100, 400)
    for code, key in (("KeyP", "p"), ("KeyM", "m")):
        browser.key(code, key)  # points instead of the mesh, in the second
    points_left, points_right = at_rest(browser)
    assert differ(points_left, turned_left) > 0.1 and differ(points_right, turned_right) > 0.1
    assert browser.said == []
