"""Training samples are functions of a seed and of indices alone, whatever was asked for before."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal

import numpy as np
import pytest

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.data import scene_source
from sparse_convonet.data.batching import TrainingStream
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scene_source import SceneSource
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.structures import PointCloud, TrainingSample
from tests.data.furniture.tiny_library import tiny_library

SETTINGS = DataConfig(
    scenes="buildings", points=500, queries=200, crop_m=1.6, context_voxels=40.0, voxel_size_m=(0.08, 0.1),
    near_surface_share=0.25, band_share=0.25, direction_share=1.0, normal_share=1.0,
)  # fmt: skip


def hall(seed: int, library: FurnitureLibrary) -> Scene:
    """Floor, ceiling and four walls, of a length that the seed says."""
    length = 8.0 + seed % 5
    assembly = Assembly()
    for z in (-0.2, 3.0):
        assembly.box((-0.2, -0.2, z), (length + 0.2, 6.2, z + 0.2))
    for x in (-0.2, length):
        assembly.box((x, -0.2, 0), (x + 0.2, 6.2, 3))
    for y in (-0.2, 6.0):
        assembly.box((0, y, 0), (length, y + 0.2, 3))
    assembly.places.append(Place("hall", np.array([[0.0, 0.0, length, 6.0]]), 0.0, 3.0))
    return assembly.finish(0.3, (1, 2, 0))


@pytest.fixture(autouse=True)
def small_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halls instead of buildings and large scenes, which take seconds each, and few rays."""
    for name in ("make_building", "make_large_scene", "make_room"):
        monkeypatch.setattr(scene_source, name, hall)
    for name in ("_OF_CROPS", "_OF_VIEWS"):
        monkeypatch.setattr(scene_source, name, scene_source._Rays((800, 5000), 20_000))
    monkeypatch.setattr(scene_source, "_FEWEST_RAYS", 20_000)


@pytest.fixture(scope="module")
def library() -> FurnitureLibrary:
    return tiny_library()


def assert_equal(first: TrainingSample, second: TrainingSample) -> None:
    for field in fields(TrainingSample):
        np.testing.assert_equal(getattr(first, field.name), getattr(second, field.name))


@pytest.mark.parametrize("kind", ["building", "large"])
def test_a_view_is_a_function_of_the_seed_and_its_indices(
    library: FurnitureLibrary, kind: Literal["building", "large"]
) -> None:
    source = SceneSource(SETTINGS, library, 3)
    first, other = source.view(kind, 5, 11), source.view(kind, 5, 12)
    for scene in (6, 7, 8, 9):  # so that scene 5 is not kept
        source.view(kind, scene, 40 + scene)
    assert_equal(source.view(kind, 5, 11), first)
    assert_equal(SceneSource(SETTINGS, library, 3).view(kind, 5, 11), first)
    for different in (other, source.view(kind, 6, 11), SceneSource(SETTINGS, library, 4).view(kind, 5, 11)):
        assert first.points_world.shape != different.points_world.shape or not np.array_equal(
            first.points_world, different.points_world
        )


@pytest.mark.parametrize("kind", ["building", "large"])
def test_a_view_has_all_its_parts_with_unit_hints(
    library: FurnitureLibrary, kind: Literal["building", "large"]
) -> None:
    sample = SceneSource(SETTINGS, library, 3).view(kind, 1, 2)
    assert len(sample.points_world) >= 50 and sample.queries_world.shape == (200, 3)
    assert sample.around_world is not None and sample.hints is not None and sample.around_hints is not None
    assert 0.02 < sample.occupied.mean() < 0.98
    core, reach = SETTINGS.crop_m / 0.08 / 2 * sample.voxel_size_m, 40 * sample.voxel_size_m
    centre = (sample.points_world.min(axis=0) + sample.points_world.max(axis=0)) / 2
    assert np.linalg.norm(sample.points_world - centre, axis=1).max() < np.sqrt(3) * core * 1.1 * 2
    assert np.linalg.norm(sample.around_world - centre, axis=1).max() < np.sqrt(3) * (core + reach) * 1.1
    for hints in (sample.hints, sample.around_hints):
        np.testing.assert_allclose(np.linalg.norm(hints.reshape(-1, 3), axis=1), 1.0, atol=1e-5)
        towards, normals = hints[:, :3], hints[:, 3:]
        assert ((towards * normals).sum(axis=1) > 0).mean() > 0.9  # scanners stand on the free side


def test_each_building_is_scanned_once_for_crops_and_once_for_views(
    library: FurnitureLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene_source, "_OF_VIEWS", scene_source._Rays((800, 5000), 20_001))
    scan, scanned = scene_source._scan, list[Scene]()

    def counted(scene: Scene, rays: int, rng: np.random.Generator) -> PointCloud:
        scanned.append(scene)
        return scan(scene, rays, rng)

    monkeypatch.setattr(scene_source, "_scan", counted)
    settings = replace(SETTINGS, sharp_share=0.5, batches_per_building=4)
    stream = TrainingStream(settings, library, 3, 2)
    for index in range(8):  # two lanes
        stream.make(index)
    assert len(scanned) == 4


def test_normals_point_out_of_what_is_occupied(library: FurnitureLibrary) -> None:
    """Points near the surface, a little along their normal, which the mirror and the turn have taken along."""
    settings = replace(SETTINGS, direction_share=0.0, near_surface_share=0.0, band_share=1.0, band_voxels=1.0)
    sample = SceneSource(settings, library, 3).view("building", 1, 2)
    assert sample.hints is not None and not sample.hints[:, :3].any()
    offsets = sample.queries_world[:, None] - sample.points_world
    nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
    along = (offsets[np.arange(len(nearest)), nearest] * sample.hints[nearest, 3:]).sum(axis=1)
    sure = np.abs(along) > 0.3 * sample.voxel_size_m
    assert sure.sum() > 50 and ((along[sure] < 0) == sample.occupied[sure]).mean() > 0.9


def test_views_without_hints_have_none(library: FurnitureLibrary) -> None:
    sample = SceneSource(replace(SETTINGS, direction_share=0.0, normal_share=0.0), library, 3).view("building", 1, 2)
    assert sample.hints is None and sample.around_hints is None and sample.around_world is not None


def test_plain_crops_show_one_surface_more_often(library: FurnitureLibrary) -> None:
    def thin(plain_share: float) -> int:
        source = SceneSource(replace(SETTINGS, plain_share=plain_share), library, 3)
        views = [source.view("large", scene, index) for scene in range(2) for index in range(15)]
        return sum(bool(view.points_world.std(axis=0).min() < 1.5 * view.voxel_size_m) for view in views)

    assert thin(1.0) >= 2 * thin(0.0)


def test_rooms_share_their_scene_and_are_functions_of_the_seed_and_their_indices(library: FurnitureLibrary) -> None:
    source = SceneSource(replace(SETTINGS, observation="uniform"), library, 3)
    first, second = source.room(4, 10), source.room(4, 11)
    assert_equal(SceneSource(replace(SETTINGS, observation="uniform"), library, 3).room(4, 10), first)
    assert not np.array_equal(first.queries_world, second.queries_world)
    assert first.hints is None and first.around_world is None


def test_a_scene_that_gives_no_crop_says_so(library: FurnitureLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_source, "_FEWEST_CORE_POINTS", 10**9)
    with pytest.raises(ValueError, match="building scene 1: expected a crop with 1000000000 points within 20 tries"):
        SceneSource(SETTINGS, library, 3).view("building", 1, 2)
