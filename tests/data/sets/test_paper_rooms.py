"""The rooms of the papers: every number of the recipe, and points and occupancies of exactly those solids."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import trimesh

from sparse_convonet.data.convonet.dataset import HALF_JITTER_UNIT, DrawSettings, draw_sample
from sparse_convonet.data.convonet.layout import ModelFolder
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.sets.model_set import ModelJob
from sparse_convonet.data.sets.paper_rooms import (
    PLANE_LABEL,
    SCALES,
    PaperRoom,
    make_paper_room,
    room_queries,
    sample_room_occupancy,
    sample_room_surface,
)
from sparse_convonet.data.sets.room_recipes import PaperRoomRecipe
from sparse_convonet.data.sets.shape_stock import CLASSES, PackStock

FLOOR = -0.49
ROOMS_PER_CLASS = 20
SYNSETS = sorted(CLASSES)


@lru_cache(maxsize=1)
def stock() -> PackStock:
    return PackStock(FurnitureLibrary.load())


@lru_cache(maxsize=1)
def rooms() -> dict[int, list[PaperRoom]]:
    return {
        objects: [
            make_paper_room(objects, stock(), "train", np.random.default_rng([7, objects, number]))
            for number in range(ROOMS_PER_CLASS)
        ]
        for objects in SCALES
    }


def all_rooms() -> list[PaperRoom]:
    return [room for group in rooms().values() for room in group]


def box_of(vertices: np.ndarray) -> np.ndarray:
    return np.stack([vertices.min(axis=0), vertices.max(axis=0)])


def distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """From points (Q, 3) to a mesh: (Q,)."""
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
    return scene.compute_distance(o3d.core.Tensor(points.astype(np.float32)), nthreads=1).numpy()


def within_sampling_error(successes: int, draws: int, share: float) -> bool:
    """Four standard deviations: one in 16,000 sound samples is farther off, and the seed is fixed."""
    return abs(successes - draws * share) <= 4 * np.sqrt(draws * share * (1 - share))


def test_rooms_have_as_many_objects_as_their_class_says_and_of_all_five_classes_alike() -> None:
    for objects, group in rooms().items():
        assert [len(room.objects) for room in group] == [objects] * ROOMS_PER_CLASS
    counts = Counter(piece.synset for room in all_rooms() for piece in room.objects)
    draws = sum(counts.values())
    assert draws == ROOMS_PER_CLASS * sum(SCALES)
    # Rooms whose objects find no place are drawn anew, which takes wide pieces off: a little beyond chance.
    assert all(abs(counts[synset] - draws / 5) < 5 * np.sqrt(draws * 0.16) for synset in SYNSETS)


def test_largest_extents_are_uniform_in_the_range_of_their_class() -> None:
    for objects, (low, high) in SCALES.items():
        # The extent is set before the turn about y, so it is that of the shape in its own frame.
        extents = np.array(
            [
                piece.scale * np.ptp(piece.shape.vertices, axis=0).max()
                for room in rooms()[objects]
                for piece in room.objects
            ]
        )
        assert (extents >= low - 1e-12).all() and (extents <= high + 1e-12).all()
        spread = (high - low) / np.sqrt(12 * len(extents))
        assert low + 0.25 * (high - low) < extents.mean() < (low + high) / 2 + 4 * spread


def test_ground_is_one_long_and_uniformly_wide_along_x_or_z() -> None:
    sides = np.array([room.sides for room in all_rooms()])
    assert (sides.max(axis=1) == 1).all()
    assert (sides.min(axis=1) >= 0.3).all()
    assert within_sampling_error(int((sides[:, 0] == 1).sum()), len(sides), 0.5)
    # Narrow rooms are drawn anew more often, since their objects find no place.
    assert 0.6 < sides.min(axis=1).mean() < 0.9
    for room in all_rooms():
        ground = room.boxes[0]
        assert ground[0, 1] == -0.5 and ground[1, 1] == pytest.approx(FLOOR)
        assert np.allclose(np.ptp(ground, axis=0)[[0, 2]], room.sides)


def test_each_wall_is_there_half_of_the_time_thin_and_as_high_as_the_others() -> None:
    walls = np.array([room.walls for room in all_rooms()])
    for side in range(4):
        assert within_sampling_error(int(walls[:, side].sum()), len(walls), 0.5)
    heights = np.array([room.wall_height for room in all_rooms()])
    assert (heights >= 0.2).all() and (heights <= 0.4).all()
    assert abs(heights.mean() - 0.3) < 4 * 0.2 / np.sqrt(12 * len(heights))
    for room in all_rooms():
        boxes = room.boxes[1:]
        assert len(boxes) == sum(room.walls)
        sizes = boxes[:, 1] - boxes[:, 0]
        assert np.allclose(sizes.min(axis=1), 0.01)
        assert np.allclose(sizes[:, 1], room.wall_height)
        assert np.allclose(boxes[:, 0, 1], FLOOR)


def test_objects_stand_on_the_ground_within_the_walls_and_none_meets_another() -> None:
    for room in all_rooms():
        low, high = room.inner
        boxes = [box_of(piece.vertices) for piece in room.objects]
        for index, box in enumerate(boxes):
            assert box[0, 1] == pytest.approx(FLOOR, abs=1e-12)
            assert (box[0, [0, 2]] >= low - 1e-12).all() and (box[1, [0, 2]] <= high + 1e-12).all()
            for other in boxes[:index]:
                apart = (box[0] >= other[1] - 1e-12) | (box[1] <= other[0] + 1e-12)
                assert apart[[0, 2]].any()


def test_angles_cover_the_whole_turn() -> None:
    angles = np.array([piece.angle for room in all_rooms() for piece in room.objects])
    counts = np.histogram(angles, bins=8, range=(0, 2 * np.pi))[0]
    assert counts.sum() == len(angles)
    assert all(within_sampling_error(int(count), len(angles), 1 / 8) for count in counts)


def test_no_query_lies_in_two_objects() -> None:
    for room in all_rooms()[::10]:
        queries = room_queries(20_000, np.random.default_rng(1))
        inside = np.sum([piece.contains(queries) for piece in room.objects], axis=0)
        assert inside.max() <= 1


def test_occupied_share_is_the_volume_of_the_solids() -> None:
    for room in all_rooms()[::25]:
        truth = sample_room_occupancy(room, room_queries(100_000, np.random.default_rng(2)))
        boxes = room.boxes
        planes = [trimesh.creation.box(bounds=box) for box in boxes]
        overlap = 0.01**2 * room.wall_height  # of two walls in each corner of the room
        corners = sum(room.walls[side] and room.walls[(side + 1) % 4] for side in range(4))
        volume = sum(plane.volume for plane in planes) - corners * overlap
        volume += sum(
            trimesh.Trimesh(piece.vertices, piece.shape.faces, process=False).volume for piece in room.objects
        )
        share = volume / 1.1**3
        # The light meshes of the pack differ from its exact voxels by a few per cent of a thin piece's volume.
        assert abs(truth.occupied.mean() - share) < 4 * np.sqrt(share / 100_000) + 0.05 * share


def test_semantics_of_queries_name_the_solid_around_them() -> None:
    room = rooms()[5][0]
    queries = room_queries(50_000, np.random.default_rng(3))
    truth = sample_room_occupancy(room, queries)
    assert truth.semantics is not None
    outside = len(room.objects) + len(room.boxes)
    assert ((truth.semantics == outside) == ~truth.occupied).all()
    for piece in room.objects:
        assert set(truth.semantics[piece.contains(queries)]) <= {SYNSETS.index(piece.synset), PLANE_LABEL}
    low, high = room.boxes[0]
    in_ground = ((queries > low) & (queries < high)).all(axis=1)
    assert in_ground.any() and (truth.semantics[in_ground] == PLANE_LABEL).all()


def test_surface_points_lie_on_the_surface_they_are_labelled_with() -> None:
    room = next(room for room in rooms()[4] if all(room.walls))
    surface = sample_room_surface(room, 20_000, 1.0, np.random.default_rng(4))
    assert surface.semantics is not None and surface.normals is not None
    points, labels = surface.points_unit, surface.semantics
    planes = points[labels == PLANE_LABEL]
    (x0, z0), (x1, z1) = room.inner
    on_ground = np.isclose(planes[:, 1], FLOOR, atol=1e-12)
    on_wall = np.isclose(planes[:, [0, 0, 2, 2]], [x0, x1, z0, z1], atol=1e-12).any(axis=1)
    assert (on_ground | on_wall).all()
    assert (planes[:, 0] >= x0 - 1e-12).all() and (planes[:, 0] <= x1 + 1e-12).all()
    # Walls and ground face the room.
    middle = np.array([(x0 + x1) / 2, FLOOR + room.wall_height / 2, (z0 + z1) / 2])
    assert (np.einsum("nd,nd->n", middle - planes, surface.normals[labels == PLANE_LABEL]) > 0).all()
    assert np.allclose(np.linalg.norm(surface.normals, axis=1), 1)
    for label in set(labels) - {PLANE_LABEL}:
        mine = points[labels == label]
        pieces = [piece for piece in room.objects if SYNSETS.index(piece.synset) == label]
        distance = np.min([distances(mine, piece.vertices, piece.shape.faces) for piece in pieces], axis=0)
        assert distance.max() < 1e-6  # open3d computes in single precision


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_drawn_points_are_off_the_surface_by_the_noise(noise: float, tmp_path: Path) -> None:
    recipe = PaperRoomRecipe(files=1, points=20_000, queries=100, plane_density=1.0)
    recipe(ModelJob("rooms_04", "train", 2), tmp_path)
    room = make_paper_room(4, stock(), "train", np.random.default_rng([0, 4, 2, 1]))  # as the recipe draws it
    boxes = [trimesh.creation.box(bounds=box) for box in room.boxes]
    solids = [(np.array(box.vertices), np.array(box.faces)) for box in boxes]
    solids += [(piece.vertices, piece.shape.faces) for piece in room.objects]
    model = ModelFolder("rooms_04", "00000002", tmp_path)
    settings = DrawSettings(points=20_000, noise=noise, with_queries=False)
    drawn = draw_sample(model, settings, np.random.default_rng(0)).points_unit
    off = np.min([distances(drawn, vertices, faces) for vertices, faces in solids], axis=0)
    # Along the normal the noise is that of one axis; half precision and its jitter are 0.0003 at most in a room.
    expected = np.hypot(noise, HALF_JITTER_UNIT) * np.sqrt(2 / np.pi)
    if noise == 0:
        assert off.max() < 1e-3 and off.mean() < 2e-4
    else:
        # At edges and thin legs another side may be nearer than the one that a point was drawn on.
        assert 0.8 * expected < off.mean() < 1.02 * expected


@pytest.mark.parametrize("density", [0.2, 1.0])
def test_planes_have_the_density_asked_for(density: float) -> None:
    room = next(room for room in rooms()[6] if sum(room.walls) == 2)
    surface = sample_room_surface(room, 100_000, density, np.random.default_rng(5))
    assert surface.semantics is not None
    inner = np.ptp(room.inner, axis=0)
    wall_lengths = np.array([inner[0], inner[1], inner[0], inner[1]])[np.array(room.walls)]
    plane_area = inner.prod() + wall_lengths.sum() * room.wall_height
    object_area = sum(trimesh.Trimesh(piece.vertices, piece.shape.faces, process=False).area for piece in room.objects)
    share = density * plane_area / (density * plane_area + object_area)
    assert within_sampling_error(int((surface.semantics == PLANE_LABEL).sum()), 100_000, share)


def test_rooms_depend_on_the_generator_alone() -> None:
    first, second = (make_paper_room(6, stock(), "test", np.random.default_rng(11)) for _ in range(2))
    assert first.describe() == second.describe()
    assert first.describe() != make_paper_room(6, stock(), "test", np.random.default_rng(12)).describe()


def test_objects_come_from_the_split_asked_for() -> None:
    for split in ("train", "val", "test"):
        room = make_paper_room(8, stock(), split, np.random.default_rng(1))
        assert all(piece.name in stock().names(piece.synset, split) for piece in room.objects)
    everything = [set(stock().names(synset, split)) for synset in SYNSETS for split in ("train", "val", "test")]
    assert len(set.union(*everything)) == sum(len(names) for names in everything)


def test_unknown_number_of_objects_is_refused() -> None:
    with pytest.raises(ValueError, match=r"objects: expected one of \[4, 5, 6, 7, 8\], found 9"):
        make_paper_room(9, stock(), "train", np.random.default_rng(0))
