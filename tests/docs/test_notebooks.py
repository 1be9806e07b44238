"""The notebooks run from the first cell to the last, and hold no output."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
_MISSING = [name for name in ("nbclient", "ipykernel", "matplotlib") if importlib.util.find_spec(name) is None]
_CELL_S = 500
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first_mesh", "tiny_training"]


@each_notebook
def test_a_notebook_holds_no_output(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
@pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)} (extra dev)")
@each_notebook
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONWARNINGS", "default")  # the kernel's packages are not ours to judge
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=_CELL_S, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert any("image/png" in output.get("data", {}) for output in outputs)
    if path.stem == "first_mesh":
        assert "watertight: True" in said and float(said.split("random places: ")[1].split()[0]) > 0.7
    else:
        before, after = (float(word.rstrip(",")) for word in said.split("before ")[1].split() if word[0].isdigit())
        assert after > before + 0.1
