"""Dense voxels: what a crop depends on, by gradients; crops against the whole; seams where group norms make them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sparse_convonet.config.models import DenseVoxelModelConfig, FeaturePlaces
from sparse_convonet.encode import dense_unet
from sparse_convonet.encode.dense_unet import VolumeUNet, inputs_of_outputs
from sparse_convonet.extract.sliding_window import sliding_window_mesh
from sparse_convonet.fields.dense_voxels import DenseVoxelField, VoxelBox
from sparse_convonet.model import build
from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.model.sparse import OUTSIDE_LOGIT

SMALL = DenseVoxelModelConfig(grid_levels=2, grid_width=8, feature_width=8, pointnet_width=8, decoder_width=8)


def without_norms(unet: VolumeUNet) -> VolumeUNet:
    for module in list(unet.modules()):
        if isinstance(module, nn.Sequential):
            for index, layer in enumerate(module):
                if isinstance(layer, nn.GroupNorm):
                    module[index] = nn.Identity()
    return unet


@pytest.fixture
def network() -> DenseVoxelNetwork:
    torch.manual_seed(0)
    model = build(SMALL).eval()
    assert isinstance(model, DenseVoxelNetwork)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model


def scan(count: int = 3000, seed: int = 0) -> np.ndarray:
    """Points on the walls of a box of 26 x 18 x 10 voxels."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (count, 3)) * (26, 18, 10)
    points[np.arange(count), rng.integers(0, 2, count)] = 1.3
    return points


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_outputs_depend_on_exactly_the_inputs_that_are_named(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_unet.functional, "max_pool3d", torch.nn.functional.avg_pool3d)  # all of a block counts
    unet = without_norms(VolumeUNet(channels=8, width=8, levels=levels))
    for module in unet.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.constant_(module.weight, 0.01)  # positive: nothing cancels, every ReLU passes
    block = 2 ** (levels - 1)
    size = 16 * block
    for output in range(size // 2, size // 2 + block):
        grid = torch.ones(1, 8, size, size, size, requires_grad=True)
        unet(grid)[0, :, output, output, output].sum().backward()
        assert grid.grad is not None
        reached = torch.nonzero(grid.grad.abs().amax(dim=(0, 1, 3, 4)))[:, 0] - size // 2
        assert (int(reached.min()), int(reached.max())) == inputs_of_outputs(
            levels, output - size // 2, output - size // 2
        )


def test_the_published_receptive_fields() -> None:
    widths = {
        levels: [high - low + 1 for low, high in (inputs_of_outputs(levels, place, place) for place in range(16))]
        for levels in (3, 4)
    }
    assert set(widths[3]) == {44} and (min(widths[4]), max(widths[4])) == (92, 100)


def test_crops_agree_where_nothing_is_normalised_over_a_crop(network: DenseVoxelNetwork) -> None:
    points = scan()
    with_norms = sliding_window_mesh(network, points, 8, 1, 0.5)
    without_norms(network.unet)
    without = sliding_window_mesh(network, points, 8, 1, 0.5)
    assert len(without.seams) > 1000 and without.seams.max() < 1e-4
    assert with_norms.seams.max() > 100 * without.seams.max()
    assert without.encoded == with_norms.encoded > 8


def test_sliding_window_gives_the_logits_of_the_whole(network: DenseVoxelNetwork) -> None:
    without_norms(network.unet)
    points = scan()
    low = torch.tensor([-64, -64, -64])
    whole = network.encode_box(torch.from_numpy(points), low, torch.tensor([160, 160, 144]))
    part_low = torch.tensor([8 - network.halo, 0 - network.halo, 0 - network.halo])
    size = torch.tensor([8 + 2 * network.halo] * 3)
    inside = ((points >= part_low.numpy()) & (points < (part_low + size).numpy())).all(axis=1)
    part = network.encode_box(torch.from_numpy(points[inside]), part_low, size)
    begin = (torch.tensor([8, 0, 0]) - low).tolist()
    own = [slice(start - 1, start + 9) for start in begin]  # one voxel more: between centres
    local = slice(network.halo - 1, network.halo + 9)
    torch.testing.assert_close(
        part.features[:, local, local, local], whole.features[:, own[0], own[1], own[2]], atol=1e-4, rtol=1e-4
    )


def test_shift_by_the_stride_commutes_with_the_network(network: DenseVoxelNetwork) -> None:
    points = torch.from_numpy(scan())
    queries = points[:100] + 0.2
    zero, owner = torch.zeros(len(points), dtype=torch.int64), torch.zeros(100, dtype=torch.int64)
    shift = torch.tensor([network.stride * 3.0, -network.stride, network.stride * 8.0])
    logits, known = network.occupancy(network.encode(points, zero), queries, owner)
    moved, _ = network.occupancy(network.encode(points + shift, zero), queries + shift, owner)
    assert known.all()
    torch.testing.assert_close(moved, logits, atol=1e-4, rtol=1e-4)


def test_beyond_the_box_nothing_is_known(network: DenseVoxelNetwork) -> None:
    points = torch.from_numpy(scan())
    field = network.encode(points, torch.zeros(len(points), dtype=torch.int64))
    far = torch.tensor([[500.0, 0.0, 0.0], [5.0, 5.0, -90.0]], dtype=torch.float64)
    logits, known = network.occupancy(field, far, torch.zeros(2, dtype=torch.int64))
    assert not known.any() and (logits == OUTSIDE_LOGIT).all()


@pytest.mark.parametrize("features_at", ["centres", "corners"])
def test_features_sit_at_the_centres_of_their_voxels_or_evenly_from_corner_to_corner(
    features_at: FeaturePlaces,
) -> None:
    size, low = torch.tensor([4, 6, 8]), torch.tensor([-2, 8, 0])
    steps = [torch.arange(int(count), dtype=torch.float64) for count in size]
    ramp = torch.stack(torch.meshgrid(*steps, indexing="ij"))  # (3, 4, 6, 8): the number of each voxel along each axis
    field = DenseVoxelField((VoxelBox(low, ramp),), features_at)
    share = torch.tensor([[0.15, 0.5, 0.9], [0.3, 0.25, 0.125], [0.0, 0.0, 0.0], [1 - 1e-9] * 3], dtype=torch.float64)
    queries = low + share * size
    sample = field.sample(queries, torch.zeros(4, dtype=torch.int64))
    assert sample.known.all()
    if features_at == "centres":
        torch.testing.assert_close(sample.features[:2], (share * size - 0.5)[:2])
        assert not sample.features[2].any()  # they fade towards zero beyond the outermost centres
    else:
        torch.testing.assert_close(sample.features, share * (size - 1))


def test_two_scenes_have_their_own_boxes(network: DenseVoxelNetwork) -> None:
    first, second = torch.from_numpy(scan(seed=1)), torch.from_numpy(scan(seed=2)) + 7.5
    owner = torch.arange(2).repeat_interleave(len(first))
    both = network.encode(torch.cat([first, second]), owner)
    alone = network.encode(second, torch.zeros(len(second), dtype=torch.int64))
    logits, _ = network.occupancy(both, second[:50], torch.ones(50, dtype=torch.int64))
    expected, _ = network.occupancy(alone, second[:50], torch.zeros(50, dtype=torch.int64))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_crops_that_do_not_fit_the_stride_are_refused(network: DenseVoxelNetwork) -> None:
    with pytest.raises(ValueError, match="crop: expected a multiple of 2 voxels, found 7"):
        sliding_window_mesh(network, scan(), 7, 1, 0.5)
