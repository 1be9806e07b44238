"""How long the page of a reconstruction takes to open in a browser that draws on the processor."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.report.reconstruction_page import MOST_FACES, ReconstructionPage, write_reconstruction_page
from sparse_convonet.structures import Mesh
from tests.benchmarks.tables import column
from tests.report.headless_browser import HeadlessBrowser, chromium

_FACES = (200_000, 800_000, MOST_FACES)
_POINTS = 300_000
_SPACING_M, _ROUGHNESS_M = 0.05, 0.005

TEXT = (
    "page.html of a rough open surface with colours and distances, and 300,000 points, opened from the disk in headless "
    "Chromium, which draws on the processor: from the start of loading until data are unpacked, until the page can be "
    "used, and until nothing moves any more. The size is that of the file."
)


@dataclass(frozen=True)
class PageRow:
    faces: int = column("faces", "{:,}")
    megabytes: float = column("MB", "{:.1f}")
    read_s: float = column("unpacked, s", "{:.1f}")
    opened_s: float = column("opened, s", "{:.1f}")
    rest_s: float = column("at rest, s", "{:.1f}")


def run(quick: bool) -> list[PageRow]:
    program = chromium()
    if program is None:
        raise ValueError("page: expected Chromium, found none; apt-get install -y chromium")
    rows = []
    for faces in (2_000,) if quick else _FACES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.html"
            shown = write_reconstruction_page(path, _page(faces, 1000 if quick else _POINTS))
            with HeadlessBrowser(program, Path(folder) / "profile", 1280, 800) as browser:
                browser.call("Page.navigate", url=path.as_uri())
                browser.wait("document.documentElement?.dataset.state === 'ready'")
                browser.wait("shown.picture.atRest")
                read, opened, rest = (
                    float(browser.value(f"Number({each})")) / 1000
                    for each in (
                        "document.documentElement.dataset.readMs",
                        "document.documentElement.dataset.openedMs",
                        "performance.now()",
                    )
                )
            rows.append(PageRow(shown, path.stat().st_size / 1e6, read, opened, rest))
    return rows


def _page(faces: int, points: int) -> ReconstructionPage:
    """A square field of about so many faces, whose heights and colours differ from vertex to vertex."""
    side = int(np.sqrt(faces / 2))
    rng = np.random.default_rng(0)
    x, y = (each.ravel() for each in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    heights = np.sin(x / 40) + np.cos(y / 30) + rng.normal(0, _ROUGHNESS_M, len(x))
    vertices = np.column_stack([x * _SPACING_M, y * _SPACING_M, heights])
    corner = (x * side + y)[(x < side - 1) & (y < side - 1)]
    first = np.column_stack([corner, corner + side, corner + 1])
    second = np.column_stack([corner + 1, corner + side, corner + side + 1])
    colours = np.asarray(rng.integers(60, 200, vertices.shape), dtype=np.uint8)
    mesh = Mesh(vertices, np.concatenate([first, second]), colours=colours)
    chosen = rng.integers(0, len(vertices), points)
    distance = np.abs(rng.normal(0, 8, len(vertices)))
    return ReconstructionPage("field", mesh, vertices[chosen], colours[chosen], {"distance": distance})
