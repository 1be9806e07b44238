"""The public names: there, with their types, and not loaded before they are used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sparse_convonet

ROOT = Path(__file__).parents[1]

PROGRAM = """
from pathlib import Path

import numpy as np
import numpy.typing as npt

import sparse_convonet
from sparse_convonet import (
    Mesh,
    OccupancyField,
    PointCloud,
    Reconstruction,
    ReconstructionSettings,
    Reconstructor,
    ScanRequest,
    build_model,
    clean_points,
    evaluate_mesh,
    load_config,
    load_model,
    read_points,
    reconstruct_scan,
    write_mesh,
)


def reconstruct(path: Path, out: Path) -> float:
    cloud, dropped = clean_points(read_points(path))
    settings = ReconstructionSettings(voxel_size_m=0.08)
    reconstructor = Reconstructor(load_model("building"), settings)
    result: Reconstruction = reconstructor.run(cloud)
    mesh: Mesh = result.mesh
    write_mesh(out, mesh)
    field: OccupancyField = reconstructor.encode(cloud.points)
    inside: npt.NDArray[np.bool_] = field.occupancy(np.zeros((1, 3))) > result.threshold
    normals: npt.NDArray[np.float32] = field.normals(mesh.vertices[field.known(mesh.vertices)])
    scores = evaluate_mesh(mesh, mesh)
    return scores.chamfer_l1 + float(inside.sum()) + float(normals.sum()) + dropped.far


def train(path: Path) -> int:
    network = build_model(load_config(path).model)
    return sum(parameter.numel() for parameter in network.parameters())


def whole(path: Path, out: Path) -> None:
    report = reconstruct_scan(ScanRequest([path], out, sparse_convonet.ReconstructionSettings()))
    print(report["mesh"], PointCloud(np.zeros((1, 3))))
"""


def mypy_says(program: str, folder: Path) -> str:
    """What `mypy --strict` says about a user's program that imports this package."""
    (folder / "program.py").write_text(program, encoding="utf-8")
    # Of the package and what it imports mypy takes the types and judges nothing, as for an installed one.
    # torch is left out, which takes minutes: no type of it stands in the program.
    config = folder / "mypy.ini"
    config.write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n", encoding="utf-8")
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--config-file=mypy.ini"]
    cache = ROOT / ".mypy_cache" / "of_programs"
    said = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--no-color-output", "--cache-dir", str(cache), "program.py"],
        env={**os.environ, "MYPYPATH": str(ROOT)}, cwd=folder, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    return said.stdout + said.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_users_program_passes_mypy_strict_and_mistakes_in_it_are_found(tmp_path: Path) -> None:
    assert "Success: no issues found" in mypy_says(PROGRAM, tmp_path)
    said = mypy_says(PROGRAM.replace("voxel_size_m=0.08", 'voxel_size_m="8 cm"'), tmp_path)
    assert 'Argument "voxel_size_m" to "ReconstructionSettings" has incompatible type "str"' in said
    said = mypy_says(PROGRAM.replace("    clean_points,", "    clean_point,"), tmp_path)
    assert 'Module "sparse_convonet" has no attribute "clean_point"' in said


def test_every_public_name_is_there_and_listed() -> None:
    assert sorted(sparse_convonet._HOMES) == sorted(sparse_convonet.__all__)
    for name in sparse_convonet.__all__:
        assert name in dir(sparse_convonet)
        assert callable(getattr(sparse_convonet, name))
    assert sparse_convonet.build_model.__name__ == "build"
    with pytest.raises(AttributeError, match=r"no attribute 'Reconstructer'; public names: .*Reconstructor"):
        sparse_convonet.Reconstructer  # type: ignore[attr-defined]  # noqa: B018


def test_what_scripts_took_from_the_module_reconstruct_is_still_there() -> None:
    """It is a package now; scripts written before import these names from it."""
    from sparse_convonet import reconstruct

    for name in ("Reconstructor", "ReconstructionSettings", "Reconstruction"):
        assert getattr(reconstruct, name) is getattr(sparse_convonet, name)


def test_the_package_alone_imports_no_heavy_library() -> None:
    script = "import sys, sparse_convonet; print([name for name in ('torch', 'numba', 'numpy') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert said.stdout.strip() == "[]"


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "sparse_convonet" / "py.typed").is_file()
    assert '"py.typed"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
