"""Crops with their surroundings: SceneSource.view."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.config.experiment import load_config
from sparse_convonet.data import scene_source
from sparse_convonet.data.scanner.visible_surface import SeenPoints
from sparse_convonet.data.scene_source import SceneSource
from sparse_convonet.training.scenes import furniture_of

REPOSITORY = Path(__file__).parents[2]

OPEN_GROUND = 8  # a small scene


def source() -> SceneSource:
    config = load_config(REPOSITORY / "configs/buildings/sparse_building.yaml", ["data.queries=256"])
    return SceneSource(config.data, furniture_of(config).split("train"), seed=0)


def test_a_crop_is_drawn_anew_when_the_errors_of_a_scan_take_all_its_points(monkeypatch) -> None:
    tries = []

    def first_without_floor(seen: SeenPoints, voxel_size_m: float, rng: np.random.Generator) -> SeenPoints:
        tries.append(len(seen.points))
        return seen.select(np.zeros(len(seen.points), dtype=bool)) if len(tries) == 1 else seen

    monkeypatch.setattr(scene_source, "with_errors", first_without_floor)
    sample = source().view("large", OPEN_GROUND, 0)
    assert len(tries) == 2 and len(sample.points_world) >= 50
    assert np.isfinite(sample.points_world).all() and np.isfinite(sample.queries_world).all()
