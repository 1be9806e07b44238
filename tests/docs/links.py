"""Links between the pages, their anchors, and paths of the repository that the pages name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tests.docs.pages import ROOT, Page, read_page

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*#*$", re.M)
_ELSEWHERE = re.compile(r"(https?|mailto):")
_SUFFIXES = "py|yaml|yml|sh|md|mjs|js|html|toml|txt|cff"
_PATH = re.compile(rf"(?<![\w./~$<>-])((?:[\w-]+/)+[\w.-]+\.(?:{_SUFFIXES}))(?![\w/])")
_FOLDER = re.compile(r"(?<![\w./~$<>-])((?:sparse_convonet|tests|tools|configs|docker)(?:/[\w-]+)+)/?(?![\w./*-])")
# A page may name a file from the root, or within the package, its configurations or its tests.
_BASES = ("", "sparse_convonet", "configs", "tests")
_RESULTS = re.compile(r"(out|runs|data/(?:[\w-]*_dataset|rooms|mine)|scores|objects|models|build|dist)/")


def wrong_links(page: Page) -> Iterator[str]:
    """One sentence for each link or image that leads nowhere: a missing file, or a heading that is not there."""
    for found in _LINK.finditer(page.prose):
        target = found[1]
        if _ELSEWHERE.match(target):
            continue
        number = page.prose.count("\n", 0, found.start()) + 1
        name, _, anchor = target.partition("#")
        path = (page.path.parent / name).resolve() if name else page.path
        if not path.is_file():
            yield f"{page.path.name}:{number}: {target}: there is no {name}"
        elif anchor and path.suffix in (".md", ".ipynb") and anchor not in anchors(path):
            yield f"{page.path.name}:{number}: {target}: {path.name} has no heading #{anchor}"


@lru_cache
def anchors(path: Path) -> frozenset[str]:
    """Anchors of the headings of a page that lead there both on the site and where the files themselves are shown."""
    titles = [_plain(title) for title in _HEADING.findall(read_page(path).prose)]
    return frozenset({site_anchor(title) for title in titles} & {file_anchor(title) for title in titles})


def site_anchor(title: str) -> str:
    """As Python-Markdown makes it (markdown.extensions.toc.slugify)."""
    text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def file_anchor(title: str) -> str:
    """As GitHub makes it: each space a dash, none of them joined."""
    return re.sub(r"[^\w\s-]", "", title.strip().lower()).replace(" ", "-")


def missing_paths(page: Page) -> Iterator[str]:
    """One sentence for each file or folder of the repository that a page names and that is not there."""
    for number, line in enumerate(page.lines, 1):
        named = [match[1] for match in _PATH.finditer(line)] + [match[1] for match in _FOLDER.finditer(line)]
        for path in named:
            places = [ROOT / base / name for base in _BASES for name in (path, f"{path}.yaml")]  # or a configuration
            if not _RESULTS.match(path) and not any(place.exists() for place in places):
                yield f"{page.path.name}:{number}: there is no {path}"


def _plain(title: str) -> str:
    """A heading as it is read: links by their text, code without backticks."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title))
