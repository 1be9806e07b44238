"""The pages of the documentation, taken apart: their prose, their code, their links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL_FENCES = ("", "bash", "sh", "shell", "console")
_FENCE = re.compile(r"^ *```(\S*)\s*$")
_INLINE = re.compile(r"`([^`\n]+)`")
_OPERATORS = {"|", "||", "&", "&&", ";", ";;", ">", ">>", "<", "(", ")", "2>", "&>"}


@dataclass(frozen=True)
class Page:
    """A page by its lines: kinds[i] is "prose", or "code:LANGUAGE" for a line of code; an indented one has no language."""

    path: Path
    lines: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def prose(self) -> str:
        """The page without its code, which is left as empty lines."""
        pairs = zip(self.lines, self.kinds, strict=True)
        return "\n".join(line if kind == "prose" else "" for line, kind in pairs)

    def shell_lines(self) -> Iterator[tuple[int, str]]:
        """Numbered lines of code that a shell may read, those that end in a backslash joined with the next."""
        joined, first = "", 0
        for number, (line, kind) in enumerate(zip(self.lines, self.kinds, strict=True), 1):
            if kind.removeprefix("code:") not in SHELL_FENCES or kind == "prose":
                continue
            first = first if joined else number
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1] + " "
                continue
            yield first, joined
            joined = ""

    def inline_code(self) -> Iterator[tuple[int, str]]:
        """What stands between backticks, with the number of the line; line breaks within count as spaces."""
        prose = self.prose
        for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose):
            yield prose.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def read_page(path: Path) -> Page:
    """A Markdown file; of a notebook the cells, its code as fences of python."""
    if path.suffix == ".ipynb":
        return parse_page(path, _notebook_text(path))
    return parse_page(path, path.read_text(encoding="utf-8"))


def parse_page(path: Path, text: str) -> Page:
    """The page of a Markdown text."""
    lines = tuple(text.splitlines())
    kinds: list[str] = []
    language: str | None = None
    indented, after_blank, in_list = False, True, False
    for line in lines:
        fence = _FENCE.match(line)
        if fence is not None:
            language = fence[1] if language is None else None
            kinds.append("code:fence")
        elif language is not None:
            kinds.append(f"code:{language}")
        else:
            is_blank = not line.strip()
            depth = len(line) - len(line.lstrip())
            indented = not is_blank and depth >= (6 if in_list else 4) and (indented or after_blank)
            in_list = bool(re.match(r" *([-*]|\d+\.) ", line)) or (in_list and (is_blank or depth > 0))
            kinds.append("code:" if indented else "prose")
            after_blank = is_blank
            continue
        after_blank, indented = False, False
    return Page(path, lines, tuple(kinds))


def documentation() -> list[Page]:
    """README.md, CONTRIBUTING.md and all pages and notebooks of docs/."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    paths += [*sorted((ROOT / "docs").glob("**/*.md")), *sorted((ROOT / "docs").glob("**/*.ipynb"))]
    return [read_page(path) for path in paths]


def shell_words(line: str) -> list[list[str]]:
    """The simple commands of a line of shell, each as its words; comments and what cannot be read as shell are left out."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    reader.whitespace_split, reader.commenters = True, "#"
    commands: list[list[str]] = [[]]
    try:
        for word in reader:
            if word in _OPERATORS:
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:  # an apostrophe of prose
        return []
    return [command for command in commands if command]


def _notebook_text(path: Path) -> str:
    import json

    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells)
    kinds = (cell["cell_type"] for cell in cells)
    return "\n\n".join(
        f"```python\n{text}\n```" if kind == "code" else text for text, kind in zip(texts, kinds, strict=True)
    )
