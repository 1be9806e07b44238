"""Networks from outside: docs/EXTENDING.md as it stands, and records that cannot be registered."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from sparse_convonet.config.experiment import load_config
from sparse_convonet.model import register_network
from tests.data.convonet.small_set import write_set

ROOT = Path(__file__).parents[2]

# In a process of its own: what is registered stays.
PROGRAM = """
import sys
from pathlib import Path

import numpy as np
import torch

from sparse_convonet.coordinates import one_scene
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.model.weights import load_model
from tools.train import main

small = "training.steps=3 training.batch=2 training.workers=0 training.warmup_steps=0 training.validation_scenes=1 "
small += "training.validate_every=3 training.mesh_every=0 training.picture_every=0 data.queries=64 data.points=100"
main(["nearest.yaml", "--out", "run", "--device", "cpu", "--set", "data.folder=set", *small.split()])
model = load_model(Path("run") / "last.safetensors")
points = torch.from_numpy(np.random.default_rng(0).uniform(-0.3, 0.3, (50, 3)))
field = model.network.encode(points, one_scene(points))
mesh = field_mesh(model.network, field, points.numpy(), 1.1 / 16, 0.5)
print(type(model.network).__module__, model.config.model.width, type(field).__name__, np.isfinite(mesh.vertices).all())
"""


def block(language: str) -> str:
    """The first block of that language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs" / "EXTENDING.md").read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_the_network_of_the_page_trains_by_the_tool_and_its_weights_are_loaded_and_meshed(tmp_path: Path) -> None:
    (tmp_path / "nearest_field.py").write_text(block("python"), encoding="utf-8")
    (tmp_path / "nearest.yaml").write_text(block("yaml"), encoding="utf-8")
    group, entry = block("toml").strip().splitlines()  # what an installation makes of these lines:
    installed = tmp_path / "nearest_field-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: nearest-field\nVersion: 1.0\n")
    name = group.removeprefix('[project.entry-points."').removesuffix('"]')
    (installed / "entry_points.txt").write_text(f"[{name}]\n{entry.replace(chr(34), '')}\n")
    write_set(tmp_path / "set", models=1)
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["nearest_field 16 NearestField True"], done.stdout + done.stderr


def test_names_that_no_package_brings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("model:\n  field: nearest\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"model.field: expected one of sparse, .*points.*, found 'nearest'"):
        load_config(tmp_path / "other.yaml")


def test_records_without_a_name_and_names_that_are_taken_are_refused() -> None:
    @dataclass(frozen=True)
    class NamelessConfig:
        width: int = 3

    with pytest.raises(ValueError, match=r"NamelessConfig: expected a dataclass whose first entry is `field: Literal"):
        register_network(NamelessConfig, lambda config: config)
    with pytest.raises(ValueError, match="expected a name of its own, found 'sparse' of SparseModelConfig"):
        register_network(SecondSparseConfig, lambda config: config)


@dataclass(frozen=True)
class SecondSparseConfig:
    field: Literal["sparse"] = "sparse"
