"""Python on the pages is Python, and what it imports from the package is there; nothing is imported to find that out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import groupby

import pytest

import sparse_convonet
from tests.docs.pages import ROOT, Page, documentation, parse_page


def python_blocks(page: Page) -> Iterator[tuple[int, str]]:
    """Fenced blocks of Python, with the number of their first line."""
    numbered = enumerate(zip(page.kinds, page.lines, strict=True), 1)
    for kind, group in groupby(numbered, key=lambda each: each[1][0]):
        if kind == "code:python":
            block = list(group)
            yield block[0][0], "\n".join(line for _, (_, line) in block)


def wrong_python(page: Page) -> Iterator[str]:
    """One sentence for each block that is no Python and for each name of the package that is imported and not there."""
    for number, text in python_blocks(page):
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            yield f"{page.path.name}:{number}: {error.msg}"
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sparse_convonet"):
                known = top_level_names(node.module or "")
                for alias in node.names:
                    if alias.name not in known:
                        yield f"{page.path.name}:{number}: {node.module} has no {alias.name}"


def top_level_names(module: str) -> set[str]:
    """What a module of the package defines or imports at its top, read from its source; empty where there is none."""
    if module == "sparse_convonet":
        return set(sparse_convonet.__all__)
    path = ROOT / module.replace(".", "/")
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not source.is_file():
        return set()
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("page", documentation(), ids=lambda page: page.path.name)
def test_python_of_a_page_parses_and_imports_what_is_there(page: Page) -> None:
    assert list(wrong_python(page)) == []


def test_there_is_python_to_check() -> None:
    assert sum(len(list(python_blocks(page))) for page in documentation()) >= 10


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("mesh = (", "was never closed"),
        ("from sparse_convonet import Reconstructer", "sparse_convonet has no Reconstructer"),
        ("from sparse_convonet.structures import Cloud", "sparse_convonet.structures has no Cloud"),
        ("from sparse_convonet.nothing import a", "sparse_convonet.nothing has no a"),
    ],
)
def test_the_checker_finds_what_is_wrong(code: str, message: str) -> None:
    page = parse_page(ROOT / "docs" / "x.md", f"text\n\n```python\n{code}\n```\n")
    assert [message in each for each in wrong_python(page)] == [True]
