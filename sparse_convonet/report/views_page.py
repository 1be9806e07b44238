"""Stage report: reconstructions of one scan side by side, each in a page of its own, with cameras that move together."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from sparse_convonet.report.page_frame import framed_page
from sparse_convonet.runtime.atomic import atomic_path

_MOST_IN_A_ROW = 3

# Passes what one page tells on to the others, and to those that open later the last that was told.
_SCRIPT = """
"use strict";
const frames = [...document.querySelectorAll("iframe")];
let last = null;
window.addEventListener("message", ({ source, data }) => {
  const from = frames.findIndex((frame) => frame.contentWindow === source);
  if (from < 0 || !data || !data.view) return;
  if (data.ready) document.documentElement.dataset.ready = 1 + +(document.documentElement.dataset.ready || 0);
  if (data.ready && last) return source.postMessage({ view: last }, "*");
  last = data.view;
  frames.forEach((frame, at) => at === from || frame.contentWindow.postMessage({ view: last }, "*"));
});
"""

_CSS = """
body { margin: 0; padding: 0.8rem 1rem 1rem; min-height: 100vh; display: flex; flex-direction: column; font-size: 15px; }
h1 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
p { margin: 0.2rem 0 0.7rem; color: var(--faint); max-width: 90ch; }
main { flex: 1; display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fit,
  minmax(max(min(22rem, 100%), calc(100% / var(--columns) - 0.8rem)), 1fr)); grid-auto-rows: minmax(22rem, 1fr); }
figure { margin: 0; display: flex; flex-direction: column; min-width: 0; }
figcaption { padding-bottom: 0.3rem; overflow-wrap: anywhere; }
figcaption span { color: var(--faint); }
iframe { flex: 1; width: 100%; border: 1px solid var(--line); border-radius: 6px; background: var(--page); }
"""

_PAGE = """\
<h1>{{ title }}</h1>
<p>Turn, walk or cut one of them: the others follow. {{ note }}</p>
<main style="--columns: {{ columns }}">
{% for view in views %}
<figure>
<figcaption><strong>{{ view.name }}</strong>{% if view.text %} <span>{{ view.text }}</span>{% endif %}</figcaption>
<iframe src="{{ view.address }}" title="{{ view.name }}"></iframe>
</figure>
{% endfor %}
</main>
<script>{{ script }}</script>
"""


@dataclass(frozen=True)
class View:
    """name, text: what is said above it.  page: of report.reconstruction_page, in the folder of the whole or below it."""

    name: str
    text: str
    page: Path


def write_views_page(path: Path, title: str, views: Sequence[View], note: str = "") -> None:
    """Write the page that shows others, which it needs beside it, and no network.

    note: said to the reader.  Raises ValueError for no view, and for pages that are not below its folder.
    """
    if not views:
        raise ValueError("page of views: expected at least one view, found none")
    hashed = base64.b64encode(hashlib.sha256(_SCRIPT.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashed}'; style-src 'unsafe-inline'; frame-src 'self' file:; "
        "base-uri 'none'; form-action 'none'"
    )
    shown = [
        {"name": view.name, "text": view.text, "address": quote(view.page.relative_to(path.parent).as_posix())}
        for view in views
    ]
    values = {"note": note, "views": shown, "columns": _columns(len(views)), "script": Markup(_SCRIPT)}
    text = framed_page(title, policy, _CSS, _PAGE, values)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _columns(count: int) -> int:
    """Of a page that is wide enough: three fit beside each other, four in two rows."""
    return count if count <= _MOST_IN_A_ROW else math.ceil(math.sqrt(count))
