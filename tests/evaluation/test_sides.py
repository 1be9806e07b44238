"""Sides of surfaces in halls and buildings: with reconstructions that are known, and with the shipped model."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.data.scenes.solids import yaw_matrix
from sparse_convonet.evaluation.predictors import Prediction
from sparse_convonet.evaluation.scenes import SeenTruth
from sparse_convonet.evaluation.sides import (
    Reconstruct,
    SidesRow,
    building_sides,
    building_with_hall,
    hall_sides,
    reconstruction_of,
    sides_head,
    sides_line,
    worst_line,
)
from sparse_convonet.model.weights import load_model
from sparse_convonet.structures import Mesh
from tests.metrics.boxes import box

HALL = EmptyHall.from_text("6x2.7")
STATIONS = np.array([[0.0, 0, 1.25], [1.0, 0.5, 1.25]])


def hall_with_floor_at(height: float) -> Reconstruct:
    made = box([0, 0, height], [6, 6, 2.7])
    turned = Mesh(made.vertices @ yaw_matrix(HALL.turn_rad).T, made.faces)
    return lambda points, voxel_size_m: turned


def test_a_slab_on_the_floor_of_a_hall_is_found_there_and_a_deep_floor_is_a_hole() -> None:

    def sides(floor: float, voxel_size_m: float = 0.08) -> SidesRow:
        return hall_sides(hall_with_floor_at(floor), HALL, voxel_size_m, points_per_m2=10, rays=100)

    exact = sides(0.0)
    assert list(exact.targets) == ["floor", "ceiling", "wall"] and exact.worst == 0
    assert all(each.rays == 100 for each in exact.targets.values())
    slab = sides(0.04)  # half a voxel
    assert slab.targets["floor"].wrong_side == 1 and slab.targets["floor"].phantoms == 0
    assert slab.targets["ceiling"].worst == slab.targets["wall"].worst == 0 and slab.worst == 1
    assert sides(0.04, 0.12).worst == 0  # a third of a voxel
    deep = sides(-0.15)
    assert deep.targets["floor"].holes == 1 and deep.targets["floor"].wrong_side == 0


def test_the_table_has_a_line_for_each_scene_and_names_the_worst() -> None:
    rows = [hall_sides(hall_with_floor_at(h), HALL, 0.08, points_per_m2=10, rays=10) for h in (0.0, 0.04)]
    good, bad = map(sides_line, rows)
    assert good.split() == "hall 6x2.7 m 8 cm".split() + 3 * "0.0 %, 0.0 %, 0.0 %".split()
    assert "100.0 %, 0.0 %, 0.0 %" in bad and len(good) == len(bad) == len(sides_head())
    assert worst_line(rows) == "worst: 100.0 % on the wrong side or in holes, hall 6x2.7 m, 8 cm"


def test_a_generated_building_has_a_hall_and_its_own_mesh_is_right_everywhere() -> None:
    seed, scene = building_with_hall(FurnitureLibrary.load().split("val"), 0)
    assert any(place.kind == "hall" for place in scene.places)
    seen: list[tuple[int, float]] = []

    def true_mesh(points: np.ndarray, voxel_size_m: float) -> Mesh:
        seen.append((len(points), voxel_size_m))
        return Mesh(*scene.mesh())

    rows = list(building_sides(true_mesh, f"building {seed}", scene, [0.08, 0.12], rays_per_m2=20, rays=2000))
    assert [voxel for _, voxel in seen] == [0.08, 0.12] and min(count for count, _ in seen) > 1000
    for row in rows:
        assert list(row.targets) == ["floor", "ceiling", "wall"] and row.worst == 0
        assert min(each.rays for each in row.targets.values()) > 200
        assert 3000 < sum(each.rays for each in row.targets.values()) <= 6000
    lower = Mesh(scene.mesh()[0] + [0, 0, 0.1], scene.mesh()[1])
    (moved,) = building_sides(lambda points, voxel: lower, "", scene, [0.12], rays_per_m2=20, rays=2000)
    assert moved.targets["floor"].wrong_side > 0.9 > 0.5 > moved.targets["wall"].wrong_side


def test_a_known_mesh_scores_sides_and_f_at_three_thresholds_in_comparisons() -> None:

    def scores(floor: float, voxel_size_m: float) -> dict[str, float]:
        truth = SeenTruth(box([-2, -2, 0], [2, 2, 2.5]), STATIONS, None, voxel_size_m, 0)
        found = truth.score(Prediction(box([-2, -2, floor], [2, 2, 2.5]), {}))
        return {name: value for name, value in found.items() if value is not None}

    right = scores(0.0, 0.08)
    assert (right["wrong side %"], right["holes 10 cm %"], right["phantoms %"]) == (0, 0, 0)
    assert (right["F 1 cm"], right["F 2.5 cm"], right["F 5 cm"]) == (1, 1, 1)
    slab = scores(0.04, 0.08)
    assert slab["wrong side %"] > 10 and slab["F 5 cm"] == 1 > slab["F 2.5 cm"]
    assert scores(0.04, 0.5)["wrong side %"] < slab["wrong side %"]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "points_per_m2"), [("6x2.7", None), ("12x2.7", 800.0)])
def test_the_shipped_model_puts_no_slab_into_an_empty_hall(text: str, points_per_m2: float | None) -> None:
    reconstruct = reconstruction_of(load_model("building"))
    row = hall_sides(reconstruct, EmptyHall.from_text(text), 0.08, points_per_m2=points_per_m2, rays=5000)
    assert row.worst <= 0.005, sides_line(row)
