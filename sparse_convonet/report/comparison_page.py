"""Stage report: one HTML page of sections with tables and pictures that needs no other file and no network."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from sparse_convonet.report.page_frame import framed_page
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import require_file

# 0.93, -1,234.5, 3e-05, 12 %, 4.2 cm, < 1, 3 x, 0.9 +- 0.1
_NUMBER = re.compile(
    r"[<>~≈]?\s*[-+−]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?(\s*(±|\+-)\s*[\d.]+)?\s*(%|x|[a-zµ]{1,2}[²³23]?)?", re.I
)
_NOTHING = ("", "-", "–", "—")

_CSS = """
body { margin: 0 auto; max-width: 1500px; padding: 1.5rem clamp(0.8rem, 3vw, 2.5rem) 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0.5rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2.8rem 0 0.6rem; padding-top: 1rem; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
p { max-width: 75ch; margin: 0.5rem 0 0.9rem; overflow-wrap: anywhere; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; margin: 0; padding: 0; }
a { color: inherit; text-underline-offset: 0.2em; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.95rem; }
th, td { padding: 0.35rem 0.9rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  white-space: nowrap; }
th { vertical-align: bottom; font-weight: 600; }
thead th { background: var(--band); white-space: normal; min-width: 4.5rem; }
tbody th { font-weight: 500; background: var(--page); }
tr > th:first-child { position: sticky; left: 0; }
th.number, td.number { text-align: right; }
figure { margin: 1.2rem 0 1.8rem; }
img { display: block; max-width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
  border-radius: 6px; }
figcaption { color: var(--faint); font-size: 0.92rem; margin-top: 0.4rem; max-width: 75ch; overflow-wrap: anywhere; }
@media print { h2, figure, tr { break-inside: avoid; } nav { display: none; } }
"""

# The policy keeps even a browser with scripts allowed from loading or running anything that is not on the page.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_PAGE = """\
<h1>{{ title }}</h1>
{% if sections|length > 2 %}
<nav aria-label="Sections"><ul>
{% for section in sections %}
<li><a href="#section-{{ loop.index }}">{{ section.heading }}</a></li>
{% endfor %}
</ul></nav>
{% endif %}
{% for section in sections %}
<section id="section-{{ loop.index }}">
<h2>{{ section.heading }}</h2>
{% for paragraph in section.paragraphs %}
<p>{{ paragraph }}</p>
{% endfor %}
{% if section.head %}
<div class="table" role="region" aria-label="{{ section.heading }}, table" tabindex="0"><table>
<thead><tr>
{% for cell in section.head %}
<th scope="col"{% if section.numeric[loop.index0] %} class="number"{% endif %}>{{ cell }}</th>
{% endfor %}
</tr></thead>
<tbody>
{% for row in section.rows %}
<tr>
{% for cell in row %}
{% if loop.first and not section.numeric[0] %}
<th scope="row">{{ cell }}</th>
{% else %}
<td{% if section.numeric[loop.index0] %} class="number"{% endif %}>{{ cell }}</td>
{% endif %}
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% if section.links %}
<ul>
{% for address, text in section.links %}
<li><a href="{{ address }}">{{ text }}</a></li>
{% endfor %}
</ul>
{% endif %}
{% for picture in section.pictures %}
<figure>
<img src="data:image/png;base64,{{ picture.data }}" width="{{ picture.width }}" height="{{ picture.height }}" \
alt="{{ picture.caption }}">
{% if picture.caption %}
<figcaption>{{ picture.caption }}</figcaption>
{% endif %}
</figure>
{% endfor %}
</section>
{% endfor %}
"""


@dataclass(frozen=True)
class PageSection:
    """text: paragraphs apart by empty lines.  table: rows of equal length, the first its header; or none.

    pictures: PNG files, each with its caption.  links: relative addresses, each with its words.  Raises ValueError where
    rows differ in length.
    """

    heading: str
    text: str
    table: tuple[tuple[str, ...], ...] = ()
    pictures: tuple[tuple[Path, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for number, row in enumerate(self.table):
            if len(row) != len(self.table[0]):
                raise ValueError(
                    f"table of {self.heading}: expected {len(self.table[0])} cells in each row, as in the header, "
                    f"found {len(row)} in row {number}"
                )


@dataclass(frozen=True)
class _Picture:
    data: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True)
class _Section:
    """A section as the page shows it.  numeric: by column, whether it is set to the right."""

    heading: str
    paragraphs: tuple[str, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    pictures: tuple[_Picture, ...]
    links: tuple[tuple[str, str], ...]


def write_page(path: Path, title: str, sections: Sequence[PageSection]) -> None:
    """Write the page; pictures are part of it.  Every text is shown as it is, never taken for HTML.

    Raises ValueError where a picture is no PNG, FileNotFoundError where there is none.
    """
    shown = [_as_shown(section) for section in sections]
    page = framed_page(title, _POLICY, _CSS, _PAGE, {"sections": shown})
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _as_shown(section: PageSection) -> _Section:
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", section.text)]
    head, *rows = section.table or ((),)
    return _Section(
        section.heading,
        tuple(part for part in paragraphs if part),
        head,
        tuple(rows),
        tuple(_is_numeric([row[column] for row in rows]) for column in range(len(head))),
        tuple(_embedded(path, caption) for path, caption in section.pictures),
        section.links,
    )


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether most of the cells that say something are numbers."""
    filled = [cell.strip() for cell in cells if cell.strip() not in _NOTHING]
    numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in filled)
    return numbers > 0 and 2 * numbers >= len(filled)


def _embedded(path: Path, caption: str) -> _Picture:
    require_file(path)
    content = path.read_bytes()
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as picture:
            width, height = picture.size
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: expected a PNG picture, found something else; write the picture again") from error
    return _Picture(base64.b64encode(content).decode("ascii"), width, height, caption)
