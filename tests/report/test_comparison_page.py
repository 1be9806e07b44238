from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.report.comparison_page import PageSection, write_page

TABLE = (
    ("method", "IoU", "mesh, s", "size", "remark"),
    ("sparse", "0.733", "1,234.5", "8 cm", "-"),
    ("dense", "-", "no more memory", "", "32 steps"),
    ("Poisson", "3e-05", "< 1", "-12 %", "normals given"),
)


class _Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text."""

    VOID = {"meta", "img", "!DOCTYPE"}

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1] != "style":
            self.words.append(data.strip())

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


def _page(folder: Path, *sections: PageSection, title: str = "Comparison") -> _Page:
    write_page(folder / "index.html", title, sections)
    return _Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.fixture
def picture(tmp_path: Path, rng: np.random.Generator) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return path


def test_pictures_are_part_of_the_page_byte_by_byte(picture: Path, tmp_path: Path) -> None:
    page = _page(tmp_path, PageSection("Pictures", "", (), ((picture, "a caption"), (picture, ""))))
    first, second = page.all("img")
    kind, data = (first["src"] or "").split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data, validate=True) == picture.read_bytes()
    assert (first["width"], first["height"], first["alt"]) == ("40", "30", "a caption")
    assert second["alt"] == ""
    assert page.words.count("a caption") == 1


def test_nothing_is_loaded_from_elsewhere_and_no_script_runs(picture: Path, tmp_path: Path) -> None:
    page = _page(tmp_path, *[PageSection(name, "text", TABLE, ((picture, "x"),)) for name in "abc"])
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"} == set()
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    style = (tmp_path / "index.html").read_text().split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "&#" not in style  # it is not escaped
    assert "prefers-color-scheme: dark" in style


def test_every_text_is_shown_as_it_is(picture: Path, tmp_path: Path) -> None:
    evil = "<script>alert('1 & 2')</script>\"{{ 7 * 7 }}"
    section = PageSection(evil, evil, ((evil, evil), (evil, evil)), ((picture, evil),))
    page = _page(tmp_path, section, section, section, title=evil)
    assert page.all("script") == []
    assert page.words.count(evil) == 2 + 3 * (3 + 4 + 1)  # of the page; link, heading and text; cells; caption
    assert [image["alt"] for image in page.all("img")] == [evil] * 3


def test_paragraphs_are_apart_where_lines_are_empty(tmp_path: Path) -> None:
    page = _page(tmp_path, PageSection("a", "one\ntwo\n\n \n three\n"))
    assert page.words[-2:] == ["one two", "three"]
    assert len(page.all("p")) == 2


def test_columns_of_numbers_are_set_to_the_right(tmp_path: Path) -> None:
    page = _page(tmp_path, PageSection("a", "", TABLE))
    numeric = [attributes.get("class") == "number" for attributes in page.all("th", "td")]
    assert numeric == 4 * [False, True, True, True, False]
    assert [attributes.get("scope") for attributes in page.all("th")] == 5 * ["col"] + 3 * ["row"]


def test_a_section_may_be_but_a_heading(tmp_path: Path) -> None:
    page = _page(tmp_path, PageSection("alone", ""))
    assert page.words == ["Comparison", "Comparison", "alone"]
    assert page.all("table", "p", "img", "nav") == []


def test_links_lead_to_every_section(tmp_path: Path) -> None:
    page = _page(tmp_path, *[PageSection(name, "") for name in ("one", "two", "three")])
    assert [link["href"] for link in page.all("a")] == ["#" + str(section["id"]) for section in page.all("section")]


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="table of Scores: expected 2 cells in each row, .* found 1 in row 2"):
        PageSection("Scores", "", (("a", "b"), ("1", "2"), ("3",)))


def test_what_is_no_png_is_refused_and_the_old_page_stays(picture: Path, tmp_path: Path) -> None:
    _page(tmp_path, PageSection("old", ""))
    old = (tmp_path / "index.html").read_bytes()
    jpeg = tmp_path / "jpeg.png"
    Image.new("RGB", (3, 3)).save(jpeg, format="JPEG")
    for path, error in ((jpeg, ValueError), (tmp_path / "none.png", FileNotFoundError)):
        with pytest.raises(error, match=f"{path.name}.*(expected a PNG picture|does not exist)"):
            write_page(tmp_path / "index.html", "new", [PageSection("a", "", (), ((picture, ""), (path, "")))])
    assert (tmp_path / "index.html").read_bytes() == old
