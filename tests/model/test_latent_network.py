"""The generative network: its distribution and loss by their definitions, and that it learns shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.config.models import LatentModelConfig
from sparse_convonet.data.batching import pack_batch
from sparse_convonet.data.convonet.layout import write_split
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples
from sparse_convonet.model import build
from sparse_convonet.model.latent import LatentField, LatentOccupancyNetwork
from sparse_convonet.structures import PointSet
from sparse_convonet.training.loop import training_step
from sparse_convonet.training.validation import validate
from tests.data.convonet.small_set import write_model

SMALL = LatentModelConfig(code_width=8, latent_width=24, decoder_width=32, decoder_blocks=2)
CPU = torch.device("cpu")


def network_of(config: LatentModelConfig = SMALL) -> LatentOccupancyNetwork:
    torch.manual_seed(0)
    network = build(config)
    assert isinstance(network, LatentOccupancyNetwork)
    return network


def seen(scenes: int, count: int = 60) -> PointSet:
    torch.manual_seed(1)
    batch = torch.arange(scenes).repeat_interleave(count)
    return PointSet(torch.rand(scenes * count, 3) - 0.5, batch, shown=torch.rand(scenes, count) > 0.5)


def test_the_published_size_is_the_default() -> None:
    count = sum(value.numel() for value in network_of(LatentModelConfig()).encoder.parameters())
    assert count == 4 * 128 + 2 * 128 + 129 * 128 + 2 * 257 * 128 + 2 * 129 * 128


def test_the_distribution_is_that_of_the_layers_written_out() -> None:
    """One scene by hand."""
    network, near = network_of(), seen(1)
    assert near.shown is not None
    encoder = network.encoder
    x = near.points @ encoder.lift.weight.T + encoder.lift.bias
    x = x + near.shown[0][:, None].float() * encoder.lift_truth.weight[:, 0] + encoder.lift_truth.bias
    first, second, third = encoder.layers
    x = first(x.relu())
    x = second(torch.cat([x, x.max(dim=0).values.expand_as(x)], dim=1).relu())
    x = third(torch.cat([x, x.max(dim=0).values.expand_as(x)], dim=1).relu()).max(dim=0).values
    found = network.eval().encode_observed(near)
    torch.testing.assert_close(found.mean[0], encoder.mean(x))
    torch.testing.assert_close(found.log_deviation[0], encoder.log_deviation(x))


def test_scenes_do_not_see_each_other_and_order_does_not_matter() -> None:
    network, near = network_of().eval(), seen(3)
    assert near.shown is not None
    together = network.encode_observed(near).mean
    for scene in range(3):
        order = torch.randperm(60)
        rows = torch.nonzero(near.batch == scene)[:, 0][order]
        alone = PointSet(near.points[rows], torch.zeros(60, dtype=torch.int64), shown=near.shown[scene][None, order])
        torch.testing.assert_close(network.encode_observed(alone).mean[0], together[scene])


def test_the_penalty_is_the_divergence_from_the_standard_normal() -> None:
    torch.manual_seed(2)
    mean, log_deviation = torch.randn(3, 8), 0.5 * torch.randn(3, 8)
    expected = kl_divergence(Normal(mean, log_deviation.exp()), Normal(torch.zeros(3, 8), torch.ones(3, 8))).sum()
    torch.testing.assert_close(network_of().penalty(LatentField(mean, mean, log_deviation)), expected)
    half = network_of(replace(SMALL, kl_weight=0.5))
    torch.testing.assert_close(half.penalty(LatentField(mean, mean, log_deviation)), expected / 2)


def test_codes_are_drawn_in_training_and_the_mean_otherwise() -> None:
    network, near = network_of(), seen(1)
    found = [network.train().encode_observed(near) for _ in range(400)]
    codes, field = torch.stack([each.codes[0] for each in found]), found[0]
    deviation = field.log_deviation[0].exp()
    assert ((codes.mean(dim=0) - field.mean[0]).abs() < 5 * deviation / 20).all()
    torch.testing.assert_close(codes.std(dim=0), deviation, rtol=0.2, atol=0)
    still = network.eval().encode_observed(near)
    assert torch.equal(still.codes, still.mean)


def balls(root: Path, models: int) -> DataConfig:
    for number in range(models):
        write_model(root / "a" / f"m{number}", 10 * number, files=1)
    for split in ("train", "val"):
        write_split(root / "a", split, [f"m{number}" for number in range(models)])
    return replace(DataConfig(), folder=str(root), input="queries", points=200, queries=300, near_surface_share=0.0)


def test_the_loss_is_the_bound_of_the_evidence(tmp_path: Path) -> None:
    batch = FolderStream(balls(tmp_path, 2), "train", 0, 2, coordinates="unit").make(0)
    assert batch.shown is not None and batch.shown.shape == (2, 200) and batch.shown.dtype == torch.bool
    distance = batch.points.norm(dim=1).reshape(2, 200)
    for scene in range(2):  # of a ball of radius .2 or .3; the positions are jittered
        assert min((batch.shown[scene] != (distance[scene] < radius)).sum() for radius in (0.2, 0.3)) <= 2
    network = network_of().train()
    torch.manual_seed(5)
    field = network.encode_observed(batch.near)
    logits, _ = network.occupancy(field, batch.queries, batch.query_batch)
    divergence = kl_divergence(Normal(field.mean, field.log_deviation.exp()), Normal(0.0, 1.0)).sum()
    cross = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.occupied, reduction="sum")
    expected = float((cross + divergence).detach()) / 2
    again = network_of().train()
    torch.manual_seed(5)
    loss, _ = training_step(again, torch.optim.Adam(again.parameters(), lr=0.0), batch, None, 2, CPU)
    assert loss == pytest.approx(expected, rel=1e-4)


def overfit(data: DataConfig, model: LatentModelConfig, steps: int, batch: int, rate: float) -> float:
    """Validation IoU of the shapes that were trained on, each from its mean code."""
    network = network_of(model).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    stream = FolderStream(data, "train", 0, batch, coordinates="unit")
    for step in range(steps):
        training_step(network, optimizer, stream.make(step), None, batch, CPU)
    return validate(network, evaluation_samples(data, "val", 99, 0), CPU).best_iou


def test_it_tells_two_sizes_apart_by_their_queries(tmp_path: Path) -> None:
    assert overfit(balls(tmp_path, 2), SMALL, 150, 4, 5e-3) > 0.75  # either ball for both has at most .65


@pytest.mark.long
def test_it_learns_four_shapes_by_heart(tmp_path: Path) -> None:
    assert overfit(balls(tmp_path, 4), SMALL, 500, 8, 2e-3) > 0.9


def test_what_it_cannot_take_is_refused(tmp_path: Path) -> None:
    near = seen(2)
    with pytest.raises(ValueError, match="expected queries with their truth, found points"):
        network_of().encode_observed(replace(near, shown=None))
    with pytest.raises(ValueError, match="expected the truth of 120 queries, found 119"):
        network_of().encode_observed(replace(near, shown=torch.zeros(1, 119)))
    (sample, *_) = evaluation_samples(balls(tmp_path, 1), "val", 1, 0)
    assert pack_batch([sample], coordinates="unit").shown is not None
