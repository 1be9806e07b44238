"""Published checkpoints: the imported networks give the logits of slow oracles with the published names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.model.weights import load_model
from tests.oracles.published_networks import (
    ConvolutionalNetwork,
    CropNetwork,
    OccupancyNet,
    PointConvNetwork,
    VoxelNetwork,
    VoxelOccupancyNet,
)
from tests.tools.running import exit_code

CONFIGS = Path(__file__).parents[2] / "configs"
PLANES = ("xz", "xy", "yz")
VOXEL = 0.05
LOW, SIZE = (-8, -8, -8), 16

CASES: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "one plane": ("objects/plane1_64", lambda: ConvolutionalNetwork(PLANES[:1], (16, 4), (0, 0))),
    "three planes": ("rooms/plane3_128", lambda: ConvolutionalNetwork(PLANES, (16, 5), (0, 0))),
    "grid": ("rooms/grid64", lambda: ConvolutionalNetwork((), (0, 0), (8, 4))),
    "means of cells": ("objects/grid32", lambda: ConvolutionalNetwork((), (0, 0), (8, 3), mean=True)),
    "planes and grid": ("rooms/plane3_grid32", lambda: ConvolutionalNetwork(PLANES, (16, 5), (8, 3))),
    "voxels": ("voxels/plane3", lambda: VoxelNetwork(PLANES, (16, 4), (0, 0))),
    "voxels to a grid": ("voxels/grid32", lambda: VoxelNetwork((), (0, 0), (8, 3))),
    "Occupancy Network": ("rooms/onet", OccupancyNet),
    "Occupancy Network of voxels": ("voxels/onet", VoxelOccupancyNet),
    "PointConv": ("rooms/pointconv", lambda: PointConvNetwork(256)),
}


def perturbed(network: nn.Module, scale: float) -> nn.Module:
    """Every weight and every statistic random, in float32 values, for computing in float64."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.copy_(1 + noise.square())
            elif value.dim() == 1:
                value.add_(0.1 * noise)
            else:
                value.add_(scale * noise / value[0].numel() ** 0.5)
    return network.eval()


def small(network: nn.Module) -> list[str]:
    """Options for cells as few as the network has, where it has any: shapes of weights do not depend on them."""
    sizes = {"plane": getattr(network, "plane_size", 0), "grid": getattr(network, "grid_size", 0)}
    given = [f"model.{name}_resolution={size}" for name, size in sizes.items() if size]
    return ["--set", *given] if given else []


def positions(seed: int, count: int, reach: float = 0.5) -> torch.Tensor:
    return (2 * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 1) * reach


def write_checkpoint(network: nn.Module, path: Path) -> Path:
    """As the published code writes them, with what it keeps beside the weights."""
    optimizer = torch.optim.Adam(network.parameters())
    torch.save(
        {"epoch_it": 7, "it": 300, "loss_val_best": np.float64(0.8), "optimizer": optimizer.state_dict(),
         "model": network.state_dict()},
        path,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("case", CASES)
def test_imported_network_gives_the_logits_of_the_published_one(case: str, tmp_path: Path) -> None:
    name, make = CASES[case]
    torch.manual_seed(0)
    official = perturbed(make(), 0.5 if "Occupancy" in case else 0.2)  # its statistics damp what it is given
    checkpoint, out = write_checkpoint(official, tmp_path / "official.pt"), tmp_path / "ours.safetensors"
    options = ["--config", CONFIGS / f"{name}.yaml", "--out", out, *small(official)]
    options += ["model.scatter=mean"] if case == "means of cells" else []
    assert exit_code("import_official", checkpoint, *options) == 0
    model = load_model(out)
    assert model.threshold == 0.2 and model.record["steps"] == 300
    points, queries = positions(1, 550), positions(2, 200, 0.57)
    given = points
    if isinstance(official, VoxelNetwork | VoxelOccupancyNet):
        given = torch.zeros(32, 32, 32)
        for point in points.tolist():
            given[tuple(int((value + 0.5) * 32) for value in point)] = 1
    zeros = [torch.zeros(len(each), dtype=torch.int64) for each in (points, queries)]
    with torch.no_grad():
        expected = official.double()(given.double(), queries.double())
        found, known = model.network.occupancy(model.network.encode(points, zeros[0]), queries, zeros[1])
    # Far more than the tolerance: codes of random weights say little of a place, so the networks of one code vary least.
    assert known.all() and expected.std() > (3e-3 if "Occupancy" in case else 1e-2)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("encoding", ["none", "sin_cos"])
def test_imported_network_for_crops_gives_the_logits_of_the_published_one_turned_to_z_up(
    encoding: str, tmp_path: Path
) -> None:
    official = perturbed(CropNetwork(4, VOXEL, LOW, SIZE, encoding == "sin_cos"), 0.2)
    checkpoint, out = write_checkpoint(official, tmp_path / "crop.pt"), tmp_path / "crop.safetensors"
    config = CONFIGS / "rooms" / "grid64_crop.yaml"
    options = ["--config", config, "--out", out, "--set", f"model.local_encoding={encoding}"]
    assert exit_code("import_official", checkpoint, *options) == 0
    network = load_model(out).network
    assert isinstance(network, DenseVoxelNetwork)
    points, queries = positions(1, 600, 0.39).double(), positions(2, 200, 0.39).double()

    def turned(y_up: torch.Tensor) -> torch.Tensor:
        """The same places in voxels, z up."""
        return torch.stack([y_up[:, 0], -y_up[:, 2], y_up[:, 1]], dim=1) / VOXEL

    with torch.no_grad():
        expected = official.double()(points, queries)
        box = network.encode_box(turned(points), torch.tensor(LOW), torch.tensor([SIZE] * 3))
        zeros = torch.zeros(len(queries), dtype=torch.int64)
        found, known = network.occupancy(network.field_of([box]), turned(queries), zeros)
    assert known.all() and expected.std() > 0.01
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
