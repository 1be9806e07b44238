"""The built package works where it is installed: all its files are in the wheel, and no compiler or engine is needed.

Quick: a new environment that sees the packages of this one, but neither this checkout nor MinkowskiEngine nor a compiler.
Long (--long): a new environment with nothing but what pip brings, at the versions of constraints.txt.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from sparse_convonet.io.points import write_points
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import room_points

ROOT = Path(__file__).parents[1]
NEEDED = (  # besides Python files
    "py.typed",
    "pretrained/building.safetensors",
    "pretrained/building_wide.safetensors",
    "pretrained/expected_error.json",
    "pretrained/voxel_errors.json",
    "data/assets/ATTRIBUTION.md",
    "report/viewer/page.html",
)
_HIDING = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'MinkowskiEngine' or 'editable' in name:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in (
        "sparse_convonet",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):  # built beside the checkout, which stays clean
        (source / name).symlink_to(ROOT / name)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(source),
        ],
        check=True,
        capture_output=True,
    )
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "sparse_convonet"],
        capture_output=True,
        text=True,
    )
    if tracked.returncode == 0:
        assert held == {name for name in tracked.stdout.split() if (ROOT / name).exists()}
    assert {f"sparse_convonet/{name}" for name in NEEDED} <= held
    assert wheel.name.endswith("-py3-none-any.whl")


def _works(python: Path, folder: Path, environment: dict[str, str]) -> None:
    """The command turns a scan into a mesh, from a folder elsewhere, and says so in the report."""
    write_points(folder / "room.ply", PointCloud(room_points(4000)))
    run = subprocess.run(
        [
            python.with_name("sparse-convonet"),
            "reconstruct",
            "room.ply",
            "--out",
            "out",
            "--voxel-size",
            "0.15",
            "--page",
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((folder / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["engine"] == "native" and report["mesh"]["faces"] > 1000
    assert (folder / "out" / "page.html").stat().st_size > 100_000
    where = "import sparse_convonet, importlib.util as u; print(sparse_convonet.__file__, u.find_spec('numpy').name)"
    said = subprocess.run(
        [python, "-c", where], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    assert str(python.parents[1]) in said.stdout  # the installed one, not this checkout


def _environment(venv: Path, folder: Path) -> dict[str, str]:
    """What a program sees: no path to this checkout, and no compiler."""
    keep = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
    (folder / "cache").mkdir()
    return {**keep, "PATH": str(venv / "bin"), "NUMBA_CACHE_DIR": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The python of a new environment with the wheel, which finds the packages of this one, but not what is hidden."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "hiding.py").write_text(_HIDING)
    (site / "others.pth").write_text(f"import hiding\n{sysconfig.get_path('purelib')}\n")
    return python


def test_the_installed_package_loads_its_model_and_its_command_refuses_what_is_missing(
    installed: Path, tmp_path: Path
) -> None:
    environment = _environment(installed.parents[1], tmp_path)
    code = (
        "import sparse_convonet, importlib.util as u; print(sparse_convonet.__file__); "
        "print(sparse_convonet.load_model('building').name, u.find_spec('numpy').name); "
        "import sparse_convonet.plan.error_law as e; print(e.shipped_law())"
    )
    said = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(str(installed.parents[1])) and "building numpy" in said.stdout
    command = installed.with_name("sparse-convonet")
    run = subprocess.run(
        [command, "reconstruct", "no.ply", "--out", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "no.ply does not exist" in run.stdout + run.stderr


@pytest.mark.long
def test_the_wheel_makes_a_mesh_without_a_compiler_the_engine_and_this_checkout(
    installed: Path, tmp_path: Path
) -> None:
    _works(installed, tmp_path, _environment(installed.parents[1], tmp_path))


@pytest.mark.long
def test_the_wheel_and_what_pip_brings_work_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", str(constraints), str(wheel)], check=True)
    _works(python, tmp_path, _environment(venv, tmp_path))
