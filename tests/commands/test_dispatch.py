"""`sparse-convonet`: one command, whose subcommands are the tools, and help that answers before anything heavy comes."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sparse_convonet
from sparse_convonet.commands.dispatch import help_text, main
from sparse_convonet.commands.listing import COMMANDS, GROUPS, Command
from sparse_convonet.runtime.cli import run_tool
from tests.tools.running import TOOLS, load_tool

ROOT = TOOLS.parent
NO_COMMANDS = {"demo", "gpu_run", "fit_expected_error", "fit_voxel_sizes"}  # what make calls, and what new weights need
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


def said_and_code(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str, int]:
    """What `sparse-convonet words` writes to stdout and to stderr, and its exit code."""
    with pytest.raises(SystemExit) as stopped:
        run_tool(main, list(words))
    said = capsys.readouterr()
    return said.out, said.err, int(stopped.value.code or 0)


def run_module(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparse_convonet", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@each_command
def test_help_of_a_subcommand_shows_examples_that_it_understands(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err, code = said_and_code(capsys, *command.name.split(), "--help")
    assert (err, code) == ("", 0)
    assert out.startswith(f"usage: sparse-convonet {command.name} [-h]")
    examples = [line.strip() for line in out[out.index("\nexamples:\n") :].splitlines()[2:]]
    assert len(examples) >= 2
    parser = importlib.import_module(command.module)._parser()
    for example in examples:
        start = f"sparse-convonet {command.name} "
        assert example.startswith(start)
        parser.parse_args(shlex.split(example.removeprefix(start)))


@each_command
def test_a_tool_and_its_subcommand_are_the_same_function_and_say_the_same(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load_tool(command.tool)
    assert tool.main is importlib.import_module(command.module).main
    with pytest.raises(SystemExit):
        run_tool(tool.main, ["--help"])
    assert capsys.readouterr().out == said_and_code(capsys, *command.name.split(), "--help")[0]
    with pytest.raises(SystemExit) as stopped:
        run_tool(tool.main, ["--no-such-option"])
    of_tool = (*capsys.readouterr(), stopped.value.code)
    assert of_tool == said_and_code(capsys, *command.name.split(), "--no-such-option") and of_tool[-1] == 2


def test_every_tool_is_a_subcommand() -> None:
    assert {path.stem for path in TOOLS.glob("*.py")} == {each.tool for each in COMMANDS} | NO_COMMANDS


def test_every_tool_is_a_short_script() -> None:
    for each in COMMANDS:
        lines = (TOOLS / f"{each.tool}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 12 and lines[0].endswith(f'the same as `sparse-convonet {each.name}`."""')


@pytest.mark.parametrize("group", ["", *GROUPS])
@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]], ids=str)
def test_alone_it_lists_the_subcommands_with_examples(
    group: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, err, code = said_and_code(capsys, *group.split(), *words)
    assert (out, err, code) == (help_text(group) + "\n", "", 0)
    for each in COMMANDS:
        of = next((name for name in GROUPS if each.name.startswith(f"{name} ")), "")
        if of == group:
            assert f"\n  {each.name.removeprefix(of).strip()} " in out and each.summary in out
        elif group == "":
            assert f" {each.name.removeprefix(of).strip()}" in out[out.index(f"\n  {of} ") : out.index("\nexamples")]
    examples = [line.split() for line in out.splitlines() if line.startswith("  sparse-convonet ")]
    assert 3 <= len(examples) <= 4
    names = [each.name for each in COMMANDS]
    assert all(words[1] in names or " ".join(words[1:3]) in names for words in examples)
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("recontruct scan.ply", "reconstruct"),
        ("eval", "evaluate"),
        ("rooms", "data rooms"),
        ("scannet", "data scannet"),
        ("make_rooms", "data rooms"),
        ("reconstruct_building.py", "reconstruct"),
        ("export_model", "export"),
        ("dta", "data"),
        ("data room --out x", "data rooms"),
        ("data prepare_scans", "data scans"),
        ("data scan", "data scans"),
        ("data train", "train"),
        ("Train", "train"),
    ],
)
def test_an_unknown_subcommand_is_one_sentence_with_the_nearest_name(
    words: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err, code = said_and_code(capsys, *words.split())
    assert (out, code, err.count("\n")) == ("", 2, 1)
    assert err.startswith("error: sparse-convonet ") and err.endswith(f"; did you mean sparse-convonet {meant}?\n")


def test_where_nothing_is_near_all_names_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    err, code = said_and_code(capsys, "--qq")[1:]
    assert code == 2
    assert err == (
        "error: sparse-convonet --qq: no such command; known: reconstruct, object, sample, train, curves, evaluate, "
        "evaluate buildings, compare, validate, scan, score, export, import-official, completion, data\n"
    )
    err = said_and_code(capsys, "data", "qq")[1]
    assert err.endswith(
        "; known: rooms, objects, buildings, views, scannet, matterport3d, scans, watertight, meshes, furniture, inspect\n"
    )


def test_the_module_runs_as_the_command() -> None:
    found = run_module()
    assert (found.returncode, found.stdout, found.stderr) == (0, help_text() + "\n", "")
    found = run_module("score", "--help")
    assert found.returncode == 0 and found.stdout.startswith("usage: sparse-convonet score ")
    found = run_module("scores")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "error: sparse-convonet scores: no such command; did you mean sparse-convonet score?\n"


def test_what_a_subcommand_refuses_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err, code = said_and_code(capsys, "score", str(tmp_path / "a.ply"), str(tmp_path / "b.ply"))
    assert (out, code) == ("", 2) and err == f"error: {tmp_path / 'a.ply'} does not exist; check the path\n"


def test_pip_installs_the_command() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.scripts]\nsparse-convonet = "sparse_convonet.__main__:run"\n' in text
    assert callable(importlib.import_module("sparse_convonet.__main__").run)


HELP_OF_ALL = """
import sys
from sparse_convonet.commands.dispatch import main
from sparse_convonet.commands.listing import COMMANDS, GROUPS
main([])
for command in COMMANDS:
    for words in (["--help"], ["--no-such-option"]):
        try:
            main([*command.name.split(), *words])
        except SystemExit:
            pass
print([name for name in ("torch", "numba", "trimesh", "open3d", "matplotlib", "ray") if name in sys.modules])
"""


def test_help_and_mistakes_in_options_import_nothing_heavy() -> None:
    command = [sys.executable, "-c", HELP_OF_ALL]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert said.stdout.splitlines()[-1:] == ["[]"], said.stderr


def test_only_the_module_of_the_subcommand_is_imported() -> None:
    code = (
        "import sys\nfrom sparse_convonet.commands.dispatch import main\n"
        "try:\n    main(['export', '--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted(name[25:] for name in sys.modules if name.startswith('sparse_convonet.commands.')))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert said.stdout.splitlines()[-1] == "['dispatch', 'export', 'listing', 'parsing']"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert said_and_code(capsys, "--version") == (f"sparse-convonet {sparse_convonet.__version__}\n", "", 0)
