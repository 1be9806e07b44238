"""Empty halls: points on exact walls at the density that is asked for, rays whose true lengths are right."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.data.scenes.solids import yaw_matrix
from tests.metrics.boxes import box


def unturned(hall: EmptyHall, vectors: np.ndarray) -> np.ndarray:
    return vectors @ yaw_matrix(hall.turn_rad)


@pytest.mark.parametrize(
    ("text", "sides", "area"),
    [("12x2.7", (12, 12, 2.7), 417.6), ("40x10x4", (40, 10, 4), 1200.0), ("12x0", (12, 12, 0), 144.0)],
)
def test_a_text_gives_the_hall_and_the_hall_its_text(text: str, sides: tuple[float, ...], area: float) -> None:
    hall = EmptyHall.from_text(text)
    assert (hall.length_m, hall.width_m, hall.height_m) == sides and hall.name == text
    assert hall.area_m2 == pytest.approx(area)


def test_points_are_at_most_four_million_in_all() -> None:
    assert EmptyHall.from_text("12x2.7").usual_density == 4000
    assert EmptyHall.from_text("30x8").usual_density == pytest.approx(4_000_000 / 2760)


def test_every_surface_has_the_same_density_and_lies_where_it_should() -> None:
    hall = EmptyHall(8.0, 5.0, 3.0)
    points = unturned(hall, hall.points(np.random.default_rng(0), points_per_m2=50, noise_m=0.0))
    assert len(points) == int(50 * hall.area_m2)
    for axis, (side, area) in enumerate(((8.0, 15.0), (5.0, 24.0), (3.0, 40.0))):
        for level in (0.0, side):
            on_surface = points[np.abs(points[:, axis] - level) < 1e-9]
            assert len(on_surface) == 50 * area
            across = np.delete(on_surface, axis, axis=1) / np.delete([8.0, 5.0, 3.0], axis)
            assert 0 <= across.min() < 0.02 and 0.98 < across.max() <= 1  # the whole of it
            assert np.histogramdd(across, bins=2)[0].min() > 0.2 * len(on_surface)


def test_noise_has_the_standard_deviation_that_is_asked_for() -> None:
    floor = EmptyHall.from_text("20x0")
    heights = floor.points(np.random.default_rng(0), points_per_m2=100)[:, 2]
    assert heights.std() == pytest.approx(0.003, rel=0.02) and abs(heights.mean()) < 1e-4
    assert floor.points(np.random.default_rng(0), points_per_m2=100, noise_m=0.01)[:, 2].std() > 0.009


def test_halls_are_turned_about_z() -> None:
    straight, turned = (EmptyHall(8, 5, 3, turn_rad=angle) for angle in (0.0, 0.3))
    first, second = (hall.points(np.random.default_rng(0), points_per_m2=10) for hall in (straight, turned))
    np.testing.assert_allclose(first @ yaw_matrix(0.3).T, second)
    assert first[:, :2].min() > -0.1 and second[:, 0].min() < -1


def test_rays_meet_the_exact_walls_at_their_true_ranges_and_at_every_wall() -> None:
    hall = EmptyHall(8.0, 5.0, 3.0)
    room = box([0, 0, 0], [8, 5, 3])
    rays = hall.rays(np.random.default_rng(0), 400)
    assert [each.target for each in rays] == ["floor", "ceiling", "wall"]
    normals = set()
    for each in rays:
        hits = unturned(hall, each.origins + each.ranges[:, None] * each.directions)
        off = np.minimum(np.abs(hits - room.vertices.min(axis=0)), np.abs(hits - room.vertices.max(axis=0)))
        assert (off.min(axis=1) < 1e-9).all()
        aimed = np.sort(np.minimum(hits, [8, 5, 3] - hits) / [8, 5, 3], axis=1)  # (R, 3): of each side, smallest first
        assert (aimed[:, 1] >= 0.1 - 1e-9).all()
        np.testing.assert_allclose(np.linalg.norm(each.directions, axis=1), 1.0)
        normals |= {tuple(row) for row in np.round(unturned(hall, each.directions)).astype(int)}
    assert len(normals) == 6
    assert (rays[0].ranges == 1.5).all() and set(rays[2].ranges) == {4.0, 2.5}


def test_a_lone_floor_is_seen_from_a_metre_above() -> None:
    (floor,) = EmptyHall.from_text("12x0").rays(np.random.default_rng(0), 100)
    assert floor.target == "floor" and (floor.origins[:, 2] == 1.0).all() and (floor.ranges == 1.0).all()
    assert (floor.directions == [0, 0, -1]).all()


@pytest.mark.parametrize("text", ["12", "12x", "axb", "1x2x3x4", ""])
def test_a_text_of_no_hall_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected LENGTHxHEIGHT or LENGTHxWIDTHxHEIGHT in metres"):
        EmptyHall.from_text(text)


@pytest.mark.parametrize("text", ["0x3", "12x-1", "infx3", "nanx3", "5x-2x3"])
def test_a_hall_of_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a positive length and width and a height of 0"):
        EmptyHall.from_text(text)


def test_too_few_points_for_a_surface_are_refused() -> None:
    with pytest.raises(ValueError, match=r"hall 6x2\.7: expected points on every surface, found 0\.05 per m2"):
        EmptyHall.from_text("6x2.7").points(np.random.default_rng(0), points_per_m2=0.05)
