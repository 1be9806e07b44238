"""Batches: in what shares the kinds of scenes come, who makes which, and what is packed besides the points."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.data.batching import Shard, TrainingStream, pack_batch
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.structures import TrainingSample
from tests.data.furniture.tiny_library import tiny_library

MIXED = DataConfig(scenes="mixed", room_share=0.3, large_share=0.2, context_voxels=80.0)


class NamedScenes:
    """A source whose scenes say in their points who they are: kind, the scene's number, the sample's number."""

    def __init__(self, settings: DataConfig, seed: int) -> None:
        self.settings, self.seed = settings, seed

    def room(self, scene: int, index: int) -> TrainingSample:
        return named(1, scene, index)

    def crop(self, scene: int, index: int) -> TrainingSample:
        return named(2, scene, index)

    def view(self, kind: str, scene: int, index: int) -> TrainingSample:
        return named({"building": 3, "large": 4}[kind], scene, index)


def named(kind: int, scene: int, index: int) -> TrainingSample:
    points = np.array([[0.0, 0.0, 0.0], [kind, scene, index]], dtype=np.float32)
    return TrainingSample(points, points[:1], np.zeros(1, dtype=bool), 1.0)


@pytest.fixture(scope="module")
def library() -> FurnitureLibrary:
    return tiny_library()


def stream(library: FurnitureLibrary, settings: DataConfig, batch: int, shard: Shard | None = None) -> TrainingStream:
    made = TrainingStream(settings, library, 5, batch, shard=shard or Shard())
    made.source = NamedScenes(settings, 5)  # type: ignore[assignment]
    return made


def names(made: TrainingStream, index: int) -> list[tuple[int, int, int]]:
    """Kind, scene and sample of each scene in a batch."""
    points = made.make(index).points.reshape(-1, 2, 3)
    return [tuple(row) for row in (points[:, 1] - points[:, 0]).round().int().tolist()]


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_kinds_come_in_their_shares_and_nearly_so_in_each_batch(library: FurnitureLibrary, batch: int) -> None:
    made = stream(library, MIXED, batch)
    counts = [Counter(kind for kind, _, _ in names(made, index)) for index in range(400)]
    total = sum(counts, Counter())
    for kind, share in ((1, 0.3), (3, 0.5), (4, 0.2)):
        assert abs(total[kind] / (400 * batch) - share) < 4 * np.sqrt(share * (1 - share) / 400) / batch
        assert all(abs(count[kind] - share * batch) < 1 for count in counts)


@pytest.mark.parametrize(("scenes", "kinds"), [("rooms", {1}), ("buildings", {3, 4})])
def test_other_settings_have_their_kinds_alone(library: FurnitureLibrary, scenes: str, kinds: set[int]) -> None:
    made = stream(library, replace(MIXED, scenes=scenes), 2)  # type: ignore[arg-type]
    assert {kind for index in range(40) for kind, _, _ in names(made, index)} == kinds


def test_without_surroundings_buildings_come_as_sharp_crops(library: FurnitureLibrary) -> None:
    made = stream(library, DataConfig(scenes="buildings"), 2)
    assert {kind for index in range(10) for kind, _, _ in names(made, index)} == {2}


def test_a_share_of_the_crops_of_buildings_ends_sharply(library: FurnitureLibrary) -> None:
    made = stream(library, replace(MIXED, sharp_share=0.25), 4)
    found = Counter(kind for index in range(300) for kind, *_ in names(made, index))
    assert found[1] == pytest.approx(0.3 * 1200, abs=20) and found[4] == pytest.approx(0.2 * 1200, abs=20)
    assert found[2] / (found[2] + found[3]) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("per_building", [1, 3])
def test_two_buildings_in_turn_give_as_many_batches_as_asked_for(library: FurnitureLibrary, per_building: int) -> None:
    made = stream(library, replace(MIXED, scenes="buildings", large_share=0.0, batches_per_building=per_building), 2)
    batches = [{scene for _, scene, _ in names(made, index)} for index in range(8 * per_building)]
    assert all(len(scenes) == 1 for scenes in batches)
    order = [scenes.pop() for scenes in batches]
    assert set(Counter(order).values()) == {per_building}
    assert {scene % 2 for scene in order[::2]} == {0} and {scene % 2 for scene in order[1::2]} == {1}


@pytest.mark.parametrize("count", [2, 3])
def test_the_shards_together_are_the_batch_of_one_process(library: FurnitureLibrary, count: int) -> None:
    for index in range(12):
        whole = stream(library, MIXED, 4).make(index)
        parts = [stream(library, MIXED, 4, Shard(rank, count)).make(index) for rank in range(count)]
        for scene in range(4):
            part = parts[scene % count]
            own = part.points[part.point_batch == scene // count]
            assert torch.equal(own, whole.points[whole.point_batch == scene])


def test_every_sample_has_a_number_of_its_own(library: FurnitureLibrary) -> None:
    made = stream(library, MIXED, 3)
    numbers = [number for index in range(20) for _, _, number in names(made, index)]
    assert numbers == list(range(60))


# What is packed.


def sample(points: int, hints: bool = False, around: int | None = None, around_hints: bool = False) -> TrainingSample:
    rng = np.random.default_rng(points)

    def drawn(rows: int, columns: int = 3) -> np.ndarray:
        return rng.uniform(-1, 1, (rows, columns)).astype(np.float32)

    return TrainingSample(
        points_world=drawn(points),
        queries_world=drawn(5),
        occupied=np.zeros(5, dtype=bool),
        voxel_size_m=0.1,
        hints=drawn(points, 6) if hints else None,
        around_world=None if around is None else drawn(around) * 3,
        around_hints=drawn(around, 6) if around is not None and around_hints else None,
    )


def test_hints_of_scenes_that_have_none_are_zeros() -> None:
    first, second, third = sample(7), sample(9, hints=True), sample(4)
    packed = pack_batch([first, second, third])
    assert packed.hints is not None and packed.hints.dtype == torch.float32 and packed.hints.shape == (20, 6)
    assert second.hints is not None
    assert torch.equal(packed.hints[packed.point_batch == 1], torch.from_numpy(second.hints))
    assert not packed.hints[packed.point_batch != 1].any()


def test_there_are_no_hints_and_no_surroundings_where_no_scene_has_any() -> None:
    for around in (None, 0):
        packed = pack_batch([sample(7, around=around), sample(9)])
        assert packed.hints is None and packed.around is None
        assert packed.near.hints is None and packed.near.points is packed.points


def test_surroundings_stand_in_the_frame_of_their_crop_with_its_shift() -> None:
    samples = [sample(7), sample(9, around=6, around_hints=True), sample(4, around=3)]
    shifts = np.array([[1, 2, 3], [10, 0, -4], [0, 0, 7]])
    packed = pack_batch(samples, shifts)
    assert packed.around is not None and packed.around.batch.tolist() == [1] * 6 + [2] * 3
    for scene in (1, 2):
        near, far = packed.points[packed.point_batch == scene], packed.around.points[packed.around.batch == scene]
        made = samples[scene]
        assert made.around_world is not None
        expected = (made.around_world - made.points_world[0]) / made.voxel_size_m
        torch.testing.assert_close(far - near[0], torch.from_numpy(expected), atol=1e-4, rtol=1e-5)
    hints = packed.around.hints
    assert hints is not None and not hints[6:].any()
    assert samples[1].around_hints is not None
    assert torch.equal(hints[:6], torch.from_numpy(samples[1].around_hints))
    unshifted = pack_batch(samples)
    assert torch.equal((packed.points - unshifted.points).round(), torch.from_numpy(shifts[packed.point_batch]).float())


def test_a_batch_on_another_device_keeps_everything() -> None:
    packed = pack_batch([sample(7, hints=True, around=3, around_hints=True)])
    moved = packed.to(torch.device("meta"))
    assert moved.hints is not None and moved.around is not None and moved.around.hints is not None
    for part in (moved.points, moved.hints, moved.around.points, moved.around.batch, moved.around.hints):
        assert part.device.type == "meta"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hints": np.zeros((7, 3), np.float32)}, r"hints: expected an array of shape \(N, 6\), found \(7, 3\)"),
        ({"hints": np.zeros((6, 6), np.float32)}, "hints: expected 7 rows, one per point or vertex, found 6"),
        ({"around_hints": np.zeros((2, 6), np.float32)}, "around_hints: expected 0 rows"),
        ({"around_world": np.zeros((2, 2), np.float32)}, r"around_world: expected an array of shape \(N, 3\)"),
    ],
)
def test_hints_and_surroundings_of_wrong_shapes_are_refused(wrong: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(sample(7), **wrong)  # type: ignore[arg-type]
