"""Large scenes: functions of their seed, exact where it is known what is solid, with stations that stand free."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.large.large_halls import make_hall
from sparse_convonet.data.large.large_scenes import LARGE_KINDS, large_scene_kind, make_large_scene
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations
from tests.data.buildings.test_room import assert_same_scene
from tests.data.furniture.tiny_library import tiny_library

SEEDS = range(60)
BARE_SEEDS = range(6)  # of each kind, without furniture: its meshes follow voxels, not planes
NOTHING = Stock((), (), (), ())
INSIDE_KINDS = ("hall", "church", "atrium", "corridor", "roofless storey")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    library = tiny_library()
    return [make_large_scene(seed, library) for seed in SEEDS]


def _bare(kind: str, seed: int) -> Scene:
    return LARGE_KINDS[kind][1](np.random.default_rng(seed), NOTHING)


def _on_floor(place: Place, count: int, rng: np.random.Generator) -> np.ndarray:
    """Points (count, 3), building frame, uniform on the largest rectangle of a place, 0.5 m from its border."""
    sides = place.rectangles[:, 2:] - place.rectangles[:, :2]
    rectangle = place.rectangles[sides.prod(axis=1).argmax()]
    low, high = rectangle[:2] + 0.5, rectangle[2:] - 0.5
    return np.column_stack([rng.uniform(low, np.maximum(high, low), (count, 2)), np.full(count, place.floor_z)])


def test_same_seed_gives_the_same_scene_and_another_seed_another(scenes: list[Scene]) -> None:
    library = tiny_library()
    for seed in SEEDS[::7]:
        assert_same_scene(scenes[seed], make_large_scene(seed, library))
    bounds = np.array([scene.bounds for scene in scenes])
    assert len(np.unique(bounds.round(3), axis=0)) == len(scenes)


def test_every_kind_occurs_and_halls_most_often() -> None:
    drawn = [large_scene_kind(seed) for seed in SEEDS]
    counts = {kind: drawn.count(kind) for kind in LARGE_KINDS}
    assert min(counts.values()) >= 1
    assert max(counts, key=lambda kind: counts[kind]) == "hall"


def test_scenes_are_of_few_solids_and_some_are_larger_than_50_m(scenes: list[Scene]) -> None:
    extents = np.array([scene.bounds[1] - scene.bounds[0] for scene in scenes])
    assert (extents[:, :2].max(axis=1) >= 50.0).any()
    assert (extents[:, :2].max(axis=1) < 140.0).all()
    assert max(len(scene.solids) for scene in scenes) < 1500
    assert max(len(scene.furniture) for scene in scenes) < 200


def test_a_slab_is_under_every_place_but_the_air(scenes: list[Scene], rng: np.random.Generator) -> None:
    for scene in scenes:
        for place in scene.places:
            below = _on_floor(place, 40, rng) - (0.0, 0.0, 0.03)
            if place.kind == "air":
                assert 3.0 <= place.floor_z <= 25.0
            else:
                assert scene.solids.contains(below).all(), place.kind


def test_empty_halls_are_free_from_the_floor_up_to_the_roof(rng: np.random.Generator) -> None:
    roofed = 0
    for seed in range(20):
        hall = make_hall(np.random.default_rng(seed), NOTHING, empty_share=1.0)
        place = hall.places[0]
        for height in (0.001, 0.5, place.height - 0.01):
            assert not hall.occupied_in_building(_on_floor(place, 200, rng) + (0.0, 0.0, height)).any()
        above = _on_floor(place, 200, rng) + (0.0, 0.0, place.height + 0.05)
        roofed += int(hall.occupied_in_building(above).all())
    assert 5 <= roofed < 20, "some halls have a ceiling, some a pitched roof or none"


def test_fitted_halls_hold_something_at_a_scanner_s_height(rng: np.random.Generator) -> None:
    def fullness(empty_share: float) -> float:
        halls = [make_hall(np.random.default_rng(seed), NOTHING, empty_share) for seed in range(20)]
        within = [_on_floor(hall.places[0], 3000, rng) + (0.0, 0.0, 0.3) for hall in halls]
        return float(np.mean([h.occupied_in_building(p).any() for h, p in zip(halls, within, strict=True)]))

    assert fullness(1.0) == 0.0
    assert fullness(0.0) > 0.7


@pytest.mark.parametrize("kind", ["open ground", "lone wall"])
def test_nothing_roofs_open_ground(kind: str, rng: np.random.Generator) -> None:
    for seed in range(20):
        scene = _bare(kind, seed)
        place = scene.places[0]
        assert place.kind == "ground" and place.floor_z == 0.0
        columns = _on_floor(place, 100, rng)
        heights = np.arange(0.01, 12.0, 0.1)
        above = (columns[:, None] + np.array([[0.0, 0.0, 1.0]]) * heights[:, None]).reshape(-1, 3)
        covered = scene.occupied_in_building(above).reshape(len(columns), len(heights))
        assert not covered[:, heights > 8.1].any()
        if len(scene.solids) <= 2:
            assert not covered.any()


def test_open_ground_alone_is_one_slab_of_the_stated_thickness() -> None:
    slabs = [scene for scene in (_bare("open ground", seed) for seed in range(30)) if len(scene.solids) == 1]
    assert slabs
    for scene in slabs:
        size = 2 * scene.solids.halves[0]
        assert (size[:2] >= 4.0).all() and (size[:2] <= 40.0).all() and 0.15 <= size[2] <= 0.4


def test_stations_stand_free_in_their_places(scenes: list[Scene], rng: np.random.Generator) -> None:
    for scene in scenes:
        stations = choose_stations(scene, rng, 6.0)
        assert not scene.occupied(stations).any()
        local = scene.to_building(stations)
        above = np.array([local[:, 2] - place.floor_z for place in scene.places])  # (places, stations)
        inside = np.array([place.contains(local) for place in scene.places])
        assert (inside & (above > 1.0) & (above < 1.8)).any(axis=0).all()


def test_stations_of_a_large_empty_hall_are_as_many_and_as_far_apart_as_asked(rng: np.random.Generator) -> None:
    hall = max(
        (make_hall(np.random.default_rng(seed), NOTHING, 1.0) for seed in range(30)), key=lambda h: h.places[0].area_m2
    )
    assert hall.places[0].area_m2 > 1000.0
    for spacing in (4.0, 12.0):
        stations = hall.to_building(choose_stations(hall, rng, spacing))
        stations = stations[np.abs(stations[:, 2] - 1.45) < 0.3]  # without those in the air over a hall without a roof
        gaps = np.linalg.norm(stations[:, None] - stations[None], axis=2)[np.triu_indices(len(stations), 1)]
        assert gaps.min() > 0.6 * spacing
        assert len(stations) == pytest.approx(hall.places[0].area_m2 / spacing**2, rel=0.3)


def test_air_is_a_place_over_scenes_without_a_roof_and_gets_stations(scenes: list[Scene]) -> None:
    flown = 0
    for scene in scenes:
        for place in (place for place in scene.places if place.kind == "air"):
            flown += 1
            assert sum(other.storey == place.storey for other in scene.places) == 1
            local = scene.to_building(choose_stations(scene, np.random.default_rng(0), 6.0))
            assert (local[:, 2] > place.floor_z + 1.0).any()
    assert flown >= 5


@pytest.mark.parametrize("kind", list(LARGE_KINDS))
def test_surface_samples_lie_on_the_boundary_also_in_a_box(kind: str, rng: np.random.Generator) -> None:
    for seed in BARE_SEEDS:
        scene = _bare(kind, seed)
        points, normals = scene.sample_surface(3000, rng)
        middle = points[rng.integers(len(points))]
        box = middle - 1.6, middle + 1.6
        near, near_normals = scene.sample_surface(3000, rng, box)
        assert len(points) == len(near) == 3000
        assert ((near >= box[0]) & (near <= box[1])).all()
        for p, n in ((points, normals), (near, near_normals)):
            # Not all: within a millimetre of an edge another solid begins or the own one ends.
            assert scene.occupied(p - 1e-3 * n).mean() > 0.99
            assert (~scene.occupied(p + 1e-3 * n)).mean() > 0.99


@pytest.mark.parametrize("kind", INSIDE_KINDS)
def test_walls_stand_round_inside_places(kind: str) -> None:
    """A ray from the middle of the floor to either side ends in a wall or leaves through an opening: most end."""
    walled = 0
    for seed in BARE_SEEDS:
        scene = _bare(kind, seed)
        place = scene.places[0]
        x0, y0, x1, y1 = place.rectangles[0]
        border = np.array([[x, y, 2.15] for x in (x0, x1) for y in np.linspace(y0 + 0.5, y1 - 0.5, 60)])
        walled += scene.solids.contains(border).mean() > 0.4
    assert walled >= len(BARE_SEEDS) - 1


def test_masses_outside_are_closed_and_windows_are_recessed(rng: np.random.Generator) -> None:
    for seed in range(8):
        scene = _bare("outside", seed)
        low, high = scene.solids.boxes
        ground = scene.places[0]
        tall = high[:, 2] > 2.5
        masses = np.flatnonzero(tall & (np.minimum(*(high - low)[:, :2].T) > 2.5) & (low[:, 2] < 0.0))
        assert len(masses) >= 1
        for mass in masses:
            inside = rng.uniform(low[mass], high[mass], (100, 3))
            assert scene.solids.contains(inside).all()
            assert not ground.contains(inside).any()
