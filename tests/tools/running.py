"""Call a tool's main as its command line would."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sparse_convonet.runtime.cli import run_tool

TOOLS = Path(__file__).parents[2] / "tools"


def load_tool(name: str) -> ModuleType:
    """The module tools/<name>.py."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", TOOLS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exit_code(name: str, *arguments: object) -> int:
    """The exit code of `tools/<name>.py arguments`."""
    main = load_tool(name).main
    with pytest.raises(SystemExit) as stopped:
        run_tool(main, [str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def refusal(capsys: pytest.CaptureFixture[str], name: str, *arguments: object) -> str:
    """The one sentence with which a tool refuses its arguments, after checking that it is one, with code 2."""
    assert exit_code(name, *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and lines[-1] == errors[0], lines
    assert "Traceback" not in "".join(lines)
    return errors[0]
