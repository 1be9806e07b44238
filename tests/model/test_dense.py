"""The papers' networks: published sizes, slow oracles of their parts, and what holds by construction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from sparse_convonet.config.models import DenseModelConfig, GlobalModelConfig, ModelConfig, PlaneName, PointsModelConfig
from sparse_convonet.coordinates import GRID_MARGIN, PLANE_MARGIN, cells_of_shares, unit_to_share
from sparse_convonet.encode.dense_pointnet import CellGroups
from sparse_convonet.encode.dense_unet import PlaneUNet, VolumeUNet
from sparse_convonet.encode.point_features import farthest_points, neighbours_within
from sparse_convonet.fields.dense import AXES, DenseField
from sparse_convonet.fields.points import PointField
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.model.dense import DenseOccupancyNetwork

ALL_PLANES: tuple[PlaneName, ...] = ("xz", "xy", "yz")
SMALL: dict[str, ModelConfig] = {
    "one plane": DenseModelConfig(planes=("xz",), plane_resolution=16, plane_depth=2, plane_width=8),
    "three planes": DenseModelConfig(planes=ALL_PLANES, plane_resolution=16, plane_depth=2, plane_width=8),
    "grid": DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8),
    "planes and grid": DenseModelConfig(
        planes=ALL_PLANES, plane_resolution=16, plane_depth=2, plane_width=8, grid_resolution=8, grid_levels=2
    ),
    "cell positions": DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8, positions="cell"),
    "nearest": DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8, sampling="nearest"),
    "voxels": DenseModelConfig(planes=ALL_PLANES, plane_resolution=16, plane_depth=2, plane_width=8, input_voxels=8),
    "global": GlobalModelConfig(code_width=16, pointnet_width=16, decoder_width=16),
    "points": PointsModelConfig(),
}


def parameters(config: ModelConfig) -> int:
    return sum(each.numel() for each in build(config).parameters())


@pytest.fixture(params=SMALL)
def network(request: pytest.FixtureRequest) -> OccupancyNetwork:
    torch.manual_seed(0)
    model = build(SMALL[request.param]).eval()
    with torch.no_grad():  # the last layers of the blocks begin at zero, which would hide their inputs
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model


def scene(seed: int, count: int = 700) -> torch.Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) - 0.5


def logits(network: OccupancyNetwork, points: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
    field = network.encode(points, torch.zeros(len(points), dtype=torch.int64))
    return network.occupancy(field, queries, torch.zeros(len(queries), dtype=torch.int64))[0]


# Peng et al. 2020, supplementary, state 10.4 M for ONet, 1.4 M for PointConv, 2.0 M for three planes of 64^2 and 1.1 M
# for a grid of 32^3; the exact numbers follow from the published layers.
@pytest.mark.parametrize(
    ("config", "count"),
    [
        (GlobalModelConfig(), 10_373_889),
        (PointsModelConfig(), 1_388_641),
        (DenseModelConfig(planes=ALL_PLANES, plane_resolution=64, plane_depth=4), 1_978_209),
        (DenseModelConfig(grid_resolution=32), 1_068_545),
        (DenseModelConfig(planes=("xz",)), 7_812_705),
        (DenseModelConfig(grid_resolution=64, grid_levels=4), 4_166_657),
    ],
)
def test_networks_have_the_published_number_of_parameters(config: ModelConfig, count: int) -> None:
    assert parameters(config) == count


def test_planes_share_one_unet_and_planes_with_grid_have_both() -> None:
    one, three = (parameters(DenseModelConfig(planes=planes)) for planes in (ALL_PLANES[:1], ALL_PLANES))
    grid = parameters(DenseModelConfig(grid_resolution=32))
    both = parameters(DenseModelConfig(planes=ALL_PLANES, grid_resolution=32))
    assert one == three
    unets = [PlaneUNet(channels=32, width=32, depth=5), VolumeUNet(channels=32, width=32, levels=3)]
    assert both == three + sum(each.numel() for each in unets[1].parameters())
    assert both - grid == sum(each.numel() for each in unets[0].parameters())


def test_batch_of_two_scenes_equals_each_alone(network: OccupancyNetwork) -> None:
    first, second, queries = scene(1), scene(2), scene(3, 50)
    owner = torch.arange(2).repeat_interleave(len(first))
    field = network.encode(torch.cat([first, second]), owner)
    asked = torch.arange(2).repeat(len(queries))  # in turns: the order of queries is free
    both, known = network.occupancy(field, queries.repeat_interleave(2, dim=0), asked)
    assert known.all()
    torch.testing.assert_close(both[asked == 0], logits(network, first, queries), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(both[asked == 1], logits(network, second, queries), atol=2e-5, rtol=1e-4)


def test_order_of_the_points_does_not_matter(network: OccupancyNetwork) -> None:
    points, queries = scene(1), scene(2, 50)
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(len(points) - 1)])
    # PointNet++ begins its choice of centres at the first point, and takes the first neighbours in a radius.
    if isinstance(network, type(build(PointsModelConfig()))):
        order = torch.arange(len(points))
    torch.testing.assert_close(
        logits(network, points[order], queries), logits(network, points, queries), atol=2e-5, rtol=1e-4
    )


def test_every_parameter_has_a_gradient(network: OccupancyNetwork) -> None:
    logits(network, scene(1), scene(2, 50)).square().sum().backward()
    missing = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    # Of the first pooling onwards, sums of ReLUs may leave single tensors unused by chance; none may be all zero here.
    assert missing == []


def test_logits_have_gradients_to_positions(network: OccupancyNetwork) -> None:
    queries = scene(2, 20).requires_grad_()
    logits(network, scene(1), queries).sum().backward()
    assert queries.grad is not None and queries.grad.isfinite().all() and queries.grad.any()


def test_shares_of_the_cube_begin_and_end_with_the_padded_cube() -> None:
    ends = torch.tensor([[-0.55], [0.0], [0.55]], dtype=torch.float64)
    for margin in (PLANE_MARGIN, GRID_MARGIN):
        shares = unit_to_share(ends, margin)[:, 0]
        assert 0 <= shares[0] < margin and shares[1] == 0.5 and 1 - margin <= shares[2] < 1
        beyond = unit_to_share(torch.tensor([[-3.0], [3.0]]), margin)
        assert (beyond >= 0).all() and (beyond < 1).all()
        assert int(cells_of_shares(beyond, 64)[1]) == 63


@pytest.mark.parametrize("margin", [PLANE_MARGIN, GRID_MARGIN])
def test_only_shares_that_leave_the_padded_cube_are_moved_as_published(margin: float) -> None:
    side = 1 + 0.1 + margin
    inside = torch.tensor([[0.55], [side / 2 * (1 - 1e-9)], [-side / 2]], dtype=torch.float64)
    torch.testing.assert_close(unit_to_share(inside, margin), inside / side + 0.5, rtol=0, atol=0)
    beyond = torch.tensor([[side / 2], [3.0], [-0.7]], dtype=torch.float64)
    assert unit_to_share(beyond, margin)[:, 0].tolist() == [1 - margin, 1 - margin, 0]


def test_the_last_share_below_one_is_in_the_last_cell() -> None:
    last = torch.nextafter(torch.ones(1, 2), torch.zeros(()))
    for resolution in (3, 48, 96, 128, 200):
        assert int(cells_of_shares(last, resolution)) == resolution**2 - 1


def test_cells_count_the_first_axis_fastest() -> None:
    shares = torch.tensor([[0.99, 0.0, 0.0], [0.0, 0.99, 0.0], [0.0, 0.0, 0.99]])
    assert cells_of_shares(shares, 4).tolist() == [3, 12, 48]


def test_pooling_and_mean_equal_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    features, index = torch.randn(200, 5, generator=generator), torch.randint(17, (200,), generator=generator)
    groups = CellGroups(index, 19)
    pooled, mean = groups.pooled(features), groups.mean(features)
    for row in range(200):
        assert torch.equal(pooled[row], features[index == index[row]].max(dim=0).values)
    for cell in range(19):
        owned = features[index == cell]
        expected = owned.mean(dim=0) if len(owned) else torch.zeros(5)
        torch.testing.assert_close(mean[cell], expected)


def interpolate(grid: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Multilinear: grid (..., C) with one axis per coordinate, place in units of cells from the first centre."""
    low = np.clip(np.floor(place).astype(int), 0, np.array(grid.shape[:-1]) - 2)
    total = np.zeros(grid.shape[-1])
    for corner in itertools.product((0, 1), repeat=len(place)):
        weight = np.prod([share if up else 1 - share for share, up in zip(place - low, corner, strict=True)])
        total += weight * grid[tuple(low + corner)]
    return total


def test_sampling_equals_interpolation_between_cells_whose_ends_touch_the_padded_cube() -> None:
    rng = np.random.default_rng(0)
    planes = {name: rng.normal(size=(6, 6, 4)) for name in ALL_PLANES}  # [first axis, second axis, channel]
    grid = rng.normal(size=(5, 5, 5, 4))  # [x, y, z, channel]
    field = DenseField(
        {name: torch.from_numpy(plane.transpose(2, 1, 0)[None].copy()) for name, plane in planes.items()},
        torch.from_numpy(grid.transpose(3, 2, 1, 0)[None].copy()),
        "linear",
    )
    queries = torch.from_numpy(rng.uniform(-0.55, 0.55, (40, 3)))
    sample = field.sample(queries, torch.zeros(40, dtype=torch.int64))
    assert sample.weights.shape == (40, 0) and sample.known.all()
    for row in range(40):
        expected = np.zeros(4)
        for name, plane in planes.items():
            place = unit_to_share(queries[row : row + 1, AXES[name]], PLANE_MARGIN).numpy()[0] * 5
            expected += interpolate(plane, place)
        expected += interpolate(grid, unit_to_share(queries[row : row + 1], GRID_MARGIN).numpy()[0] * 4)
        np.testing.assert_allclose(sample.features[row].numpy(), expected, atol=1e-9)


def test_a_point_reaches_the_cell_that_a_query_at_its_place_asks() -> None:
    """Axes are not mixed up between scattering and sampling: without the U-Net's reach, only near queries change."""
    torch.manual_seed(0)
    for name, config in SMALL.items():
        if not isinstance(config, DenseModelConfig) or name in ("nearest", "voxels"):
            continue
        model = build(config).eval()
        for unet in ("plane_unet", "volume_unet"):
            if getattr(model, unet) is not None:
                setattr(model, unet, torch.nn.Identity())
        point = torch.tensor([[0.31, -0.17, 0.08]])
        field = model.encode(point, torch.zeros(1, dtype=torch.int64))
        near = field.sample(point, torch.zeros(1, dtype=torch.int64)).features
        far = field.sample(point[:, [2, 0, 1]], torch.zeros(1, dtype=torch.int64)).features
        assert near.abs().sum() > 10 * far.abs().sum()


def test_cell_positions_make_the_network_blind_to_shifts_by_whole_cells() -> None:
    torch.manual_seed(0)
    model = build(SMALL["cell positions"]).eval()
    model.volume_unet = torch.nn.Identity()  # its padding sees the border of the cube
    cell = (1 + 0.1 + GRID_MARGIN) / 8
    points, queries = scene(1, 300) * 0.3, scene(2, 50) * 0.3
    shift = torch.tensor([cell, -cell, 2 * cell])
    moved = logits(model, points + shift, queries + shift)
    # Sampling stretches the grid so that its ends touch the cube: only logits at the centres' own shift agree.
    field = model.encode(points, torch.zeros(len(points), dtype=torch.int64))
    other = model.encode(points + shift, torch.zeros(len(points), dtype=torch.int64))
    assert field.grid is not None and other.grid is not None
    torch.testing.assert_close(
        torch.roll(field.grid, shifts=(2, -1, 1), dims=(2, 3, 4)), other.grid, atol=1e-4, rtol=1e-3
    )
    assert moved.isfinite().all()


def test_voxels_that_hold_points_are_what_a_network_of_voxels_sees() -> None:
    torch.manual_seed(0)
    model = build(SMALL["voxels"]).eval()
    assert isinstance(model, DenseOccupancyNetwork)
    points, owner = torch.cat([scene(1, 40), scene(2, 30)]), torch.arange(2).repeat_interleave(torch.tensor([40, 30]))
    occupied = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    for point, number in zip(points.tolist(), owner.tolist(), strict=True):
        occupied[(number, *(int((value + 0.5) * 8) for value in point))] = True
    found, expected = model.encode(points, owner), model.encode_voxels(occupied)
    assert all(torch.equal(found.planes[name], expected.planes[name]) for name in ALL_PLANES)
    with pytest.raises(ValueError, match=r"expected an array of shape \(B, 8, 8, 8\), found \(1, 4, 8, 8\)"):
        model.encode_voxels(torch.zeros(1, 4, 8, 8))
    of_points = build(SMALL["grid"])
    assert isinstance(of_points, DenseOccupancyNetwork)
    with pytest.raises(ValueError, match="found one that takes points"):
        of_points.encode_voxels(occupied)


def test_centres_are_the_farthest_points() -> None:
    points = scene(5, 60).double()
    chosen = farthest_points(points, 10).tolist()
    expected = [0]
    for _ in range(9):
        distance = torch.cdist(points, points[expected]).min(dim=1).values
        expected.append(int(distance.argmax()))
    assert chosen == expected


def test_neighbours_are_the_first_within_the_radius_repeated_where_too_few() -> None:
    points = scene(6, 80)
    centres = points[:7]
    found = neighbours_within(points, centres, 0.3, 6)
    for row, centre in enumerate(centres):
        near = torch.nonzero((points - centre).norm(dim=1) <= 0.3)[:, 0].tolist()
        assert found[row].tolist() == (near + [near[0]] * 6)[:6]


def test_kernel_regression_equals_a_loop() -> None:
    places, features = scene(7, 30).double(), torch.randn(30, 4, dtype=torch.float64)
    field = PointField(places, features, (18, 12), 0.2)
    queries, batch = scene(8, 9).double(), torch.tensor([0, 1, 0, 1, 1, 0, 0, 1, 0])
    sample = field.sample(queries, batch)
    for row in range(9):
        mine = slice(0, 18) if batch[row] == 0 else slice(18, 30)
        weight = torch.exp(-(((places[mine] - queries[row]).norm(dim=1) / 0.2) ** 2))
        expected = (weight[:, None] * features[mine]).sum(dim=0) / weight.sum()
        torch.testing.assert_close(sample.features[row], expected)


def test_unets_keep_the_size_of_their_maps() -> None:
    assert PlaneUNet(channels=4, width=8, depth=3)(torch.randn(2, 4, 16, 16)).shape == (2, 4, 16, 16)
    assert VolumeUNet(channels=4, width=8, levels=3)(torch.randn(1, 4, 8, 8, 8)).shape == (1, 4, 8, 8, 8)
