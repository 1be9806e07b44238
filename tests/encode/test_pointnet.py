"""The local-pool PointNet: inference in runs of voxels."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.encode import pointnet as pointnet_module
from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.voxelise import Voxels, voxelise


@pytest.fixture
def voxels() -> Voxels:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(3000, 3, generator=generator) * 4
    return voxelise(points, torch.randint(0, 2, (3000,), generator=generator), points_per_voxel=8)


def test_inference_in_runs_of_voxels_equals_training_on_all_at_once(
    voxels: Voxels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointnet_module, "_VOXELS_AT_ONCE", 100)
    torch.manual_seed(0)
    network = LocalPoolPointNet(width=8, blocks=3, feature_width=16)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    assert len(voxels.counts) > 1000
    with torch.no_grad():
        in_runs = network(voxels)
    torch.testing.assert_close(in_runs, network(voxels).detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_runs_of_voxels_hold_every_voxel_with_its_points_once(voxels: Voxels, size: int) -> None:
    runs = voxels.split(size)
    assert len(runs) == -(-len(voxels.counts) // size)
    for name in ("coordinates", "offsets", "counts"):
        assert torch.equal(torch.cat([getattr(run, name) for run in runs]), getattr(voxels, name))
    for run in runs:
        assert torch.equal(run.owner, torch.repeat_interleave(torch.arange(len(run.counts)), run.counts))


def test_no_voxels_are_one_empty_run() -> None:
    nothing = voxelise(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), points_per_voxel=8)
    assert [len(run.counts) for run in nothing.split(10)] == [0]
    with torch.no_grad():
        assert LocalPoolPointNet(width=8, blocks=2, feature_width=16)(nothing).shape == (0, 16)
