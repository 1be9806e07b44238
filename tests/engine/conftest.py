"""The engines under test, and voxels to test them on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from sparse_convonet.engine import load_engine
from sparse_convonet.engine.compiled_loops import without_compiled_loops

TOLERANCE = 1e-5  # of float32


@pytest.fixture(scope="session")
def minkowski() -> ModuleType:
    if importlib.util.find_spec("MinkowskiEngine") is None:
        pytest.skip("MinkowskiEngine is not installed")
    return load_engine("minkowski")


@pytest.fixture(scope="session")
def native() -> ModuleType:
    return load_engine("native")


@pytest.fixture
def torch_only() -> Iterator[None]:
    """Native as it works on devices that are no CPU."""
    with without_compiled_loops():
        yield


@pytest.fixture(params=["native", "native with torch only", "minkowski"])
def engine(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "native with torch only":
        request.getfixturevalue("torch_only")
    name = request.param.split()[0]
    module: ModuleType = request.getfixturevalue(name)
    return module


@pytest.fixture
def voxels(rng: np.random.Generator) -> torch.Tensor:
    """(V, 4) int32 unique voxels of two scenes, in no order, a fifth of a box from -6 to 4 occupied."""
    box = np.stack(np.meshgrid([0, 1], *[np.arange(-6, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 4)
    chosen = rng.choice(len(box), len(box) // 5, replace=False)
    return torch.from_numpy(box[chosen].astype(np.int32))


def sort_rows(coordinates: torch.Tensor) -> torch.Tensor:
    """The order that sorts (V, 4) rows, to compare engines that order rows differently."""
    return torch.from_numpy(np.lexsort(coordinates.numpy().T[::-1]))


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, name: str, tolerance: float = TOLERANCE) -> None:
    """tolerance: of the greatest error, as a share of the largest magnitude in `theirs`."""
    assert ours.shape == theirs.shape, name
    if theirs.numel():
        error, largest = float((ours - theirs).abs().max()), float(theirs.abs().max())
        assert error <= tolerance * max(largest, torch.finfo(theirs.dtype).tiny), f"{name}: {error} of {largest}"
