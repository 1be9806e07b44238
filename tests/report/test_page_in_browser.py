"""The page of a reconstruction in a real browser, from the disk: what it says, shows and does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from sparse_convonet.report.reconstruction_page import write_reconstruction_page
from tests.report.headless_browser import HeadlessBrowser, chromium
from tests.report.page_house import house_page

PROGRAM = chromium()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no chromium; apt-get install -y chromium"),
]
WIDTH, HEIGHT = 800, 480
MODEL = np.s_[70:, 20:510]  # where the model is: beside the options and below the title


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HeadlessBrowser]:
    folder = tmp_path_factory.mktemp("page")
    write_reconstruction_page(folder / "page.html", house_page("</script><b id='injected'>house</b>"))
    assert PROGRAM is not None
    with HeadlessBrowser(PROGRAM, folder / "profile", WIDTH, HEIGHT) as opened:
        opened.call("Page.navigate", url=(folder / "page.html").as_uri())
        opened.wait("document.documentElement?.dataset.state === 'ready'")
        yield opened


def at_rest(browser: HeadlessBrowser) -> np.ndarray:
    """(H, W, 3) int16: the model, when nothing moves any more."""
    browser.wait("shown.picture.atRest")
    return browser.picture()[MODEL]


def changed_share(first: np.ndarray, second: np.ndarray) -> float:
    return float((np.abs(first - second).max(axis=2) > 12).mean())


def test_the_page_opens_without_errors_and_without_network_and_shows_the_model(browser: HeadlessBrowser) -> None:
    picture = at_rest(browser)
    assert browser.said == []
    assert [each.split(":")[0] for each in browser.asked] == ["file"]
    background = picture[:, :1]
    assert 0.15 < (np.abs(picture - background).max(axis=2) > 12).mean() < 0.8
    rim = np.concatenate([picture[-6:].reshape(-1, 3), picture[60:, -6:].reshape(-1, 3)])
    assert rim.min() > 215, "the model is framed: nothing of it at the rim"
    assert browser.value("document.getElementById('injected')") is None
    assert browser.value("document.getElementById('title').textContent") == "</script><b id='injected'>house</b>"


def test_each_control_has_a_name(browser: HeadlessBrowser) -> None:
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "checkbox", "radio", "slider"}
    controls = [node for node in tree if node.get("role", {}).get("value") in roles and not node.get("ignored")]
    assert len(controls) >= 18
    assert not [node for node in controls if not node["name"]["value"].strip()]


def switch(name: str, first: int, second: int) -> tuple[str, str]:
    """What chooses one and then the other of the choices of a name."""
    return tuple(f"document.getElementsByName('{name}')[{index}].click()" for index in (second, first))  # type: ignore[return-value]


def slide(name: str, first: int, second: int) -> tuple[str, str]:
    """What moves a slider to one place and then to the other."""
    move = "{{const s = document.getElementById('{}'); s.value = {}; s.dispatchEvent(new Event('input'))}}"
    return move.format(name, second), move.format(name, first)


def press(name: str) -> tuple[str, str]:
    return (f"document.getElementById('{name}').click()",) * 2


@pytest.mark.parametrize(
    ("action", "undo"),
    [press("layer-mesh"), press("layer-points"), slide("cut-x-to", 1000, 600), switch("storey", 1, 2)]
    + [switch("colour", 1, number) for number in (0, 2, 3, 4)],
    ids=["mesh", "points", "cut", "storey", "plain", "height", "distance", "observed"],
)
def test_a_switch_changes_the_picture_and_back(browser: HeadlessBrowser, action: str, undo: str) -> None:
    before = at_rest(browser)
    browser.value(action)
    assert changed_share(before, at_rest(browser)) > 0.03
    browser.value(undo)
    assert changed_share(before, at_rest(browser)) < 0.015  # a slow machine smooths its edges less
    assert browser.said == []


def test_the_ruler_measures_between_two_clicks(browser: HeadlessBrowser) -> None:
    """The upper storey's outer wall, cut open, from corner to corner along the long side."""
    at_rest(browser)
    browser.key("KeyR", "r")
    find = (
        "(() => { const v = shown.camera.position.clone().set(%g, %g, %g).project(shown.camera);"
        " return [(v.x + 1) / 2 * innerWidth, (1 - v.y) / 2 * innerHeight] })()"
    )
    cut = browser.value("shown.cuts.uniforms.cutHigh.value.z")
    for x, y in ((-4.4, -2.875), (4.4, -2.875)):  # in the middle of the wall, metres from the middle of the house
        browser.click(*browser.value(find % (x, y, cut)))
    assert browser.value("shown.ruler.pairs.length") == 1
    pair = browser.value("shown.ruler.pairs[0].map((place) => place.toArray())")
    np.testing.assert_allclose(pair, [[-4.4, -2.875, cut], [4.4, -2.875, cut]], atol=0.08)
    assert browser.value("document.getElementById('measured').textContent").startswith("8.")
    assert browser.value("document.querySelector('#overlay text').textContent").endswith(" m")
    browser.key("Escape", "Escape")
    assert browser.value("document.querySelectorAll('#overlay line').length") == 0


def test_a_walk_stands_on_the_floor_and_moves_by_keys(browser: HeadlessBrowser) -> None:
    before = at_rest(browser)
    browser.key("KeyF", "f")
    eye = browser.value("shown.camera.position.toArray()")
    floor = browser.value("JSON.parse(document.getElementById('page-data').textContent).layout.storeys[1].floor")
    assert eye[2] - floor == pytest.approx(1.65, abs=0.1)
    assert max(abs(eye[0]), abs(eye[1])) < 4.5
    browser.value("for (let n = 0; n < 10; n++) shown.walk.key({ w: 1 }, 0.05)")
    gone = np.array(browser.value("shown.camera.position.toArray()")) - eye
    assert np.hypot(gone[0], gone[1]) == pytest.approx(0.9, abs=0.01)
    assert changed_share(before, at_rest(browser)) > 0.2
    browser.key("Escape", "Escape")
    assert changed_share(before, at_rest(browser)) < 0.015
    assert browser.said == []
