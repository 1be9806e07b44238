"""Rows of results as markdown tables, and the file that holds one section per benchmark."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TITLE, _FORM = "title", "form"
_SECTION = "## "


def column(title: str, form: str = "{}", *, default: Any = dataclasses.MISSING) -> Any:
    """A field of a row's dataclass: the head of its column, and how its values are written."""
    return dataclasses.field(metadata={_TITLE: title, _FORM: form}, default=default)


def markdown_table(rows: Sequence[Any]) -> str:
    """Rows of one dataclass, one line each; None is written as a dash."""
    if not rows:
        raise ValueError("table: expected at least one row, found none")
    fields = dataclasses.fields(rows[0])
    numeric = [any(isinstance(getattr(row, field.name), (int, float)) for row in rows) for field in fields]
    lines = [[field.metadata[_TITLE] for field in fields], ["---:" if right else "---" for right in numeric]]
    for row in rows:
        values = [getattr(row, field.name) for field in fields]
        forms = [field.metadata[_FORM] for field in fields]
        lines.append(["–" if value is None else form.format(value) for value, form in zip(values, forms, strict=True)])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_section(path: Path, title: str, body: str, *, preface: str, order: Sequence[str]) -> None:
    """Put a section into a file, in place of an older one of that title; the others stay, in the given order."""
    bodies = _read_sections(path) if path.exists() else {}
    bodies[title] = body.strip()
    names = sorted(bodies, key=lambda name: order.index(name) if name in order else len(order))
    sections = [f"{_SECTION}{name}\n\n{bodies[name]}" for name in names]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([preface.strip(), *sections]) + "\n", encoding="utf-8")


def _read_sections(path: Path) -> dict[str, str]:
    _, *chunks = ("\n" + path.read_text(encoding="utf-8")).split("\n" + _SECTION)
    return {chunk.partition("\n")[0].strip(): chunk.partition("\n")[2].strip() for chunk in chunks}
