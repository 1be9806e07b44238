"""Networks of voxels: what is shown, and what points are in, is the same to them; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet.config.experiment import DataConfig, load_config
from sparse_convonet.config.models import DenseModelConfig, GlobalModelConfig, ModelConfig, SparseModelConfig
from sparse_convonet.data.batching import PackedBatch, pack_batch
from sparse_convonet.data.convonet.binvox import Voxels, write_binvox
from sparse_convonet.data.convonet.dataset import voxel_centres
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.training.loop import training_step
from tests.data.convonet.small_set import write_set

CONFIGS = Path(__file__).parents[2] / "configs"
KINDS: dict[str, ModelConfig] = {
    "onet": GlobalModelConfig(input_voxels=16, voxel_width=4, code_width=16, decoder_width=16, decoder_blocks=2),
    "grid": DenseModelConfig(grid_resolution=16, grid_levels=2, grid_width=8, input_voxels=16),
    "sparse": SparseModelConfig(
        engine="native", widths=(8, 16), feature_width=8, decoder_width=8, dilate_from_stride=1, input_voxels=True
    ),
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS)


def network_of(kind: str) -> OccupancyNetwork:
    torch.manual_seed(0)
    network = build(KINDS[kind])
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "outer" in name or ".scale" in name or ".shift" in name:  # these begin at zero
                value.add_(0.3 * torch.randn_like(value))
    return network.eval()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of balls with their voxels, 16 along the cube."""
    folder = write_set(tmp_path_factory.mktemp("voxels"), models=3, classes=("a",))
    centres = np.argwhere(np.ones((16, 16, 16))) / 16 + 1 / 32 - 0.5
    for number in range(3):
        inside = np.linalg.norm(centres - (0.1, 0.05, 0), axis=1) < 0.2 + number / 100
        write_binvox(folder / "a" / f"m{number}" / "model.binvox", Voxels(inside.reshape(16, 16, 16), (-0.5,) * 3, 1.0))
    return folder


def data(root: Path) -> DataConfig:
    size = (1 / 16, 1 / 16)
    return replace(
        DataConfig(), folder=str(root), input="voxels", queries=300, near_surface_share=0.0, voxel_size_m=size
    )


def logits(network: OccupancyNetwork, batch: PackedBatch) -> torch.Tensor:
    with torch.no_grad():
        field = network.encode_observed(batch.near, batch.around)
        return network.occupancy(field, batch.queries, batch.query_batch)[0]


@each_kind
def test_voxels_that_are_shown_give_what_points_in_them_give(kind: str, root: Path) -> None:
    network = network_of(kind)
    assert network.sees == "voxels"
    samples = evaluation_samples(data(root), "train", 3, 0)
    batch = pack_batch(samples, coordinates=network.coordinates)
    assert batch.shown is not None and batch.shown.shape == (3, 16, 16, 16)
    found = logits(network, batch)
    assert torch.allclose(logits(network, replace(batch, shown=None)), found, atol=1e-5)  # their centres are the points
    shift = 0.4 if network.coordinates == "voxel" else 0.4 / 16
    moved = batch.points + shift * (2 * torch.rand_like(batch.points) - 1)
    assert torch.allclose(logits(network, replace(batch, shown=None, points=moved)), found, atol=1e-5)
    assert found.std() > 1e-3
    alone = torch.cat([logits(network, pack_batch([each], coordinates=network.coordinates)) for each in samples])
    assert torch.allclose(alone, found, atol=1e-4)


def test_voxels_of_the_cube_are_the_voxels_of_a_sparse_network(root: Path) -> None:
    (sample,) = evaluation_samples(data(root), "train", 1, 0)
    batch = pack_batch([sample])
    assert sample.on_lattice and sample.shown is not None and sample.voxel_size_m == pytest.approx(1 / 16)
    assert len(batch.points) == sample.shown.sum()
    assert torch.allclose(batch.points - batch.points.floor(), torch.full((1,), 0.5), atol=1e-4)
    # Queries stand where they stood: inside the ball is where voxels are occupied.
    keys = {tuple(cell) for cell in batch.points.floor().long().tolist()}
    inside = [tuple(cell) in keys for cell in batch.queries.floor().long().tolist()]
    unit = np.stack([sample.queries_world[:, 0], sample.queries_world[:, 2], -sample.queries_world[:, 1]], axis=1)
    far = np.abs(np.linalg.norm(unit - (0.1, 0.05, 0), axis=1) - 0.2) > 0.06
    assert np.array_equal(np.array(inside)[far], (np.linalg.norm(unit - (0.1, 0.05, 0), axis=1) < 0.2)[far])


@each_kind
def test_a_step_of_training_lowers_the_loss(kind: str, root: Path) -> None:
    network = network_of(kind).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    batch = FolderStream(data(root), "train", 0, 3, coordinates=network.coordinates).make(0)
    losses = [training_step(network, optimizer, batch, 10.0, 3, torch.device("cpu"))[0] for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]


def test_voxels_of_other_sizes_are_refused(root: Path) -> None:
    network = network_of("onet")
    with pytest.raises(ValueError, match=r"expected an array of shape \(B, 16, 16, 16\), found \(2, 8, 8, 8\)"):
        network.encoder(torch.zeros(2, 8, 8, 8))  # type: ignore[operator]
    with pytest.raises(ValueError, match="model.input_voxels: expected 0 or a multiple of 16"):
        load_config(CONFIGS / "voxels" / "onet.yaml", ["model.input_voxels=24"])
    samples = evaluation_samples(data(root), "train", 2, 0)
    other = replace(samples[1], shown=np.zeros((8, 8, 8), dtype=bool))
    with pytest.raises(ValueError, match="expected voxels or pictures of one size"):
        pack_batch([samples[0], other], coordinates="unit")


@pytest.mark.parametrize(
    ("config", "override"),
    [
        ("objects/grid32", "data.input=voxels"),
        ("objects/sparse64", "data.input=voxels"),
        ("voxels/input", "data.input=points"),
        ("voxels/plane3", "data.folder=null"),
        ("rooms/poisson", "data.input=voxels"),
    ],
)
def test_what_is_shown_must_suit_the_network(config: str, override: str) -> None:
    with pytest.raises(ValueError, match="data.input: expected"):
        load_config(CONFIGS / f"{config}.yaml", [override])


def test_centres_of_voxels_are_theirs() -> None:
    occupied = np.zeros((4, 4, 4), dtype=bool)
    occupied[1, 2, 3] = True
    assert voxel_centres(occupied) == pytest.approx(np.array([[-0.125, 0.125, 0.375]]))
