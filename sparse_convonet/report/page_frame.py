"""Stage report: what every page of templates has around its body: head, policy of what may run, colours and letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_STYLE = """
:root { color-scheme: light dark; --ink: #1e2228; --faint: #5d646d; --page: #ffffff; --line: #d9dde2; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --faint: #a0a8b2; --page: #16191d; --line: #363c44; --band: #1f2429; }
}
* { box-sizing: border-box; }
body { background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
"""

_FRAME = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
{{ body }}
</body>
</html>
"""


def framed_page(title: str, policy: str, style: str, body: str, values: Mapping[str, Any]) -> str:
    """The text of a page.  policy: of its content (Content-Security-Policy).  style: CSS, behind that of all pages.

    body: a template of Jinja, values: of its names.  title and values are shown as they are, never taken for HTML.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    inner = environment.from_string(body).render(title=title, **values)
    frame = environment.from_string(_FRAME)
    return frame.render(title=title, policy=policy, style=Markup(_STYLE + style), body=Markup(inner))
