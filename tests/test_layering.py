"""The folders are the pipeline: a stage imports only itself and the stages to its left."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sparse_convonet"
STAGES = (
    "runtime config coordinates tile_grid structures cluster clouds engine encode fields decode model mesh io extract "
    "picture baselines data metrics floor_plan training gpu_run report plan out_of_core reconstruct scan evaluation "
    "commands __main__"
).split()
SPEAKING = {"commands"}  # these print and read arguments
NAMES_FOR_NOTHING = {"utils", "util", "common", "misc", "helpers", "helper"}


def _imported_modules(tree: ast.AST, module: tuple[str, ...], is_package: bool) -> Iterator[tuple[str, int]]:
    """Full dotted names that the source of `module` imports, also in functions, with their lines.

    `from a import b` gives a.b, since b may be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start: list[str] = []
            if node.level:
                start = list(module[: len(module) - node.level + is_package])
            base = [*start, *(node.module.split(".") if node.module else [])]
            yield from ((".".join([*base, alias.name]), node.lineno) for alias in node.names)


def _violations(source: str, path: Path) -> list[str]:
    """What the source of a module, at `path` within the package, does against the layering."""
    parts = path.with_suffix("").parts
    is_package = parts[-1] == "__init__"
    module = ("sparse_convonet", *(parts[:-1] if is_package else parts))
    tree = ast.parse(source)
    found = []
    for name in sorted(NAMES_FOR_NOTHING & set(parts)):
        found.append(f"{path}: {name} names no concept")
    for node in () if parts[0] in SPEAKING else ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            found.append(f"{path}:{node.lineno}: library code prints")
    if path == Path("__init__.py"):  # the public API stands above all stages
        return found
    stage = parts[0]
    if stage not in STAGES:
        return [*found, f"{path}: {stage} is no stage; known: {', '.join(STAGES)}"]
    for name, line in _imported_modules(tree, module, is_package):
        imported = name.split(".")
        if imported[0] in ("tests", "tools"):
            found.append(f"{path}:{line}: the package imports {name}")
        elif imported[0] == "sparse_convonet":
            other = imported[1] if len(imported) > 1 else ""
            if other not in STAGES:
                found.append(f"{path}:{line}: {stage} imports {name}, which is no stage")
            elif STAGES.index(other) > STAGES.index(stage):
                found.append(f"{path}:{line}: {stage} imports {other}, a stage to its right")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_stages_to_its_left_and_does_not_print(path: Path) -> None:
    assert _violations(path.read_text(encoding="utf-8"), path.relative_to(PACKAGE)) == []


def test_modules_of_tools_and_tests_are_named_for_a_concept() -> None:
    files = [*PACKAGE.parent.glob("tools/**/*.py"), *PACKAGE.parent.glob("tests/**/*.py")]
    assert [path for path in files if path.stem in NAMES_FOR_NOTHING] == []


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("import sparse_convonet.model", "encode/pointnet.py", "encode imports model, a stage to its right"),
        ("from sparse_convonet.extract.mise import march", "engine/native.py", "engine imports extract"),
        ("from sparse_convonet import training", "model.py", "model imports training, a stage to its right"),
        ("from sparse_convonet import Reconstructor", "model.py", "imports sparse_convonet.Reconstructor, which is no"),
        ("import sparse_convonet", "model.py", "imports sparse_convonet, which is no stage"),
        ("from ..training import loop", "data/batching.py", "data imports training, a stage to its right"),
        ("from ..training import loop", "data/__init__.py", "data imports training, a stage to its right"),
        ("from .. import reconstruct", "config/models.py", "config imports reconstruct, a stage to its right"),
        ("def f():\n    from sparse_convonet.report import page", "io/points.py", "points.py:2: io imports report"),
        ("from tests.oracles import dense", "engine/native.py", "the package imports tests.oracles.dense"),
        ("x = 1", "io/utils.py", "utils names no concept"),
        ("x = 1", "helpers/reading.py", "helpers names no concept"),
        ("x = 1", "extras.py", "extras is no stage"),
        ("def f():\n    print(1)", "extract/mise.py", "mise.py:2: library code prints"),
        ("print(1)", "__init__.py", "library code prints"),
        ("print(1)", "__main__.py", "library code prints"),
        (
            "from sparse_convonet.commands import train",
            "evaluation/runs.py",
            "evaluation imports commands, a stage to its",
        ),
    ],
)
def test_the_checker_finds_what_is_wrong(source: str, path: str, message: str) -> None:
    assert any(message in violation for violation in _violations(source, Path(path)))


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("from sparse_convonet.coordinates import pack_keys\nimport numpy as np", "encode/pointnet.py"),
        ("from sparse_convonet.engine.native import x\nfrom .minkowski import y\nfrom . import z", "engine/tables.py"),
        ("from . import native\nfrom ..config import ModelConfig", "engine/__init__.py"),
        ("from sparse_convonet.reconstruct.reconstructor import Reconstructor", "__init__.py"),
        ("from sparse_convonet.evaluation import comparison\nprint(1)", "commands/compare.py"),
        ("import logging\nlogging.getLogger().info('print(1)')", "extract/mise.py"),
    ],
)
def test_the_checker_lets_pass_what_is_right(source: str, path: str) -> None:
    assert _violations(source, Path(path)) == []
