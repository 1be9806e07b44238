"""Free space: what rays passed and no point is near, in any parts, and how it is asked about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import ndimage

from sparse_convonet.fields import free_space
from sparse_convonet.fields.free_space import BRICK_VOXELS, CELLS_PER_VOXEL, FreeSpace, Rays, find_free_space
from sparse_convonet.fields.free_space_numba import BLOCK

LOW = -BRICK_VOXELS  # of what the oracle looks at, in voxels
SIZE = 2 * BRICK_VOXELS


def parts_of(ends: np.ndarray, starts: np.ndarray, size: int = 1000) -> Rays:
    def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for begin in range(0, len(ends), size):
            yield ends[begin : begin + size], starts[begin : begin + size]

    return parts


def found_of(ends: np.ndarray, starts: np.ndarray, size: int = 1000) -> FreeSpace:
    return FreeSpace.joined([found for _, found in find_free_space(parts_of(ends, starts, size), len(ends))])


def dense(space: FreeSpace) -> np.ndarray:
    """The cells as an array of bool that begins at LOW."""
    edge = SIZE * CELLS_PER_VOXEL
    cells = np.zeros((edge,) * 3, dtype=bool)
    unpacked = np.unpackbits(space.masks, axis=2, bitorder="little").reshape(-1, BLOCK, BLOCK, BLOCK)
    for key, block in zip(space.keys.tolist(), unpacked, strict=True):
        place = np.array([(key >> shift) & 0x7FFFF for shift in (38, 19, 0)]) - (1 << 18)
        x, y, z = place * BLOCK - LOW * CELLS_PER_VOXEL
        cells[x : x + BLOCK, y : y + BLOCK, z : z + BLOCK] = block
    return cells


def oracle(ends: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The same by small steps along each ray and morphology of the whole, a rim of it left out."""
    edge = SIZE * CELLS_PER_VOXEL
    passed, met = np.zeros((edge,) * 3, dtype=bool), np.zeros((edge,) * 3, dtype=bool)
    for end, start in zip((ends - LOW) * CELLS_PER_VOXEL, (starts - LOW) * CELLS_PER_VOXEL, strict=True):
        met[tuple(np.floor(end).astype(int))] = True
        length = np.linalg.norm(end - start)
        if np.isfinite(length) and length > 2:
            steps = np.linspace(0, 1 - 2 / length, int(length * 100))[:, None]
            passed[tuple(np.floor(start + steps * (end - start)).astype(int).T)] = True
    cube = np.ones((3, 3, 3), dtype=bool)
    return np.asarray(ndimage.binary_closing(passed, cube) & ~ndimage.binary_dilation(met, cube))


@pytest.fixture(scope="module")
def rays() -> tuple[np.ndarray, np.ndarray]:
    """(ends, starts): fans, rays along the axes, along borders of bricks, without a start, and too short ones."""
    rng = np.random.default_rng(0)
    eye = np.array([-3.3, 5.2, 1.7])
    ends = [eye + [40, 0, 0] + rng.normal(size=(300, 3)) * [0.5, 8, 8], rng.uniform(-60, 60, (60, 3))]
    starts = [np.tile(eye, (300, 1)), rng.uniform(-60, 60, (60, 3))]
    for axis in range(3):  # along each axis, and on the borders of bricks
        way = np.eye(3)[axis]
        for place in (rng.uniform(-50, 50, 3), np.zeros(3)):
            beside = place * (1 - way)
            ends.append((beside + 55 * way)[None])
            starts.append((beside - 55 * way)[None])
    blind = rng.uniform(-50, 50, (20, 3))
    ends += [blind, blind + 100, eye[None], eye[None] + 0.3]
    ends[-3] = blind[:5]
    starts += [np.full((20, 3), np.nan), np.full((5, 3), np.nan), eye[None], eye[None]]
    return np.concatenate(ends), np.concatenate(starts)


def test_it_is_what_rays_passed_without_what_is_near_points(rays: tuple[np.ndarray, np.ndarray]) -> None:
    ends, starts = rays
    found, expected = dense(found_of(ends, starts)), oracle(ends, starts)
    assert expected.sum() > 5000
    # Steps jump over the corners of some cells, and what lies exactly on a border belongs to either cell.
    assert (found != expected).sum() < 0.003 * expected.sum()
    occupied = np.floor((ends - LOW) * CELLS_PER_VOXEL).astype(int)
    for step in np.ndindex(3, 3, 3):
        assert not found[tuple((occupied + step - 1).T)].any()


def test_bricks_far_from_all_points_are_left_out() -> None:
    ends, starts = np.array([[5 * BRICK_VOXELS + 1.5, 3.5, 3.5]]), np.array([[1.5, 3.5, 3.5]])
    bricks = [brick for brick, _ in find_free_space(parts_of(ends, starts), 1)]
    assert bricks == [(4, 0, 0), (5, 0, 0)]


@pytest.mark.parametrize("bricks_at_once", [1, 7])
def test_parts_order_and_how_many_bricks_are_done_at_once_change_nothing(
    rays: tuple[np.ndarray, np.ndarray], bricks_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, starts = rays
    whole = found_of(ends, starts)
    monkeypatch.setattr(free_space, "_BRICKS_AT_ONCE", bricks_at_once)
    order = np.random.default_rng(1).permutation(len(ends))
    again = found_of(ends[order], starts[order], size=17)
    assert np.array_equal(again.keys, whole.keys) and np.array_equal(again.masks, whole.masks)
    assert whole.cells == dense(whole).sum() > 5000


def test_only_some_of_too_many_rays_are_followed_the_same_in_any_parts(
    rays: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, starts = rays
    whole = found_of(ends, starts)
    monkeypatch.setattr(free_space, "_MOST_RAYS", len(ends) // 2)
    fewer, again = found_of(ends, starts), found_of(ends[::-1], starts[::-1], size=33)
    assert np.array_equal(fewer.masks, again.masks)
    assert 0.2 * whole.cells < fewer.cells < 0.9 * whole.cells


def test_shares_are_trilinear_between_the_centres_of_cells(rays: tuple[np.ndarray, np.ndarray]) -> None:
    space = found_of(*rays)
    cells = dense(space).astype(float)
    rng = np.random.default_rng(2)
    ends, starts = (np.repeat(each[:360], 20, axis=0) for each in rays)
    on_rays = starts + rng.uniform(size=(len(ends), 1)) * (ends - starts)
    queries = np.concatenate(
        [rng.uniform(LOW + 2, -LOW - 2, (5000, 3)), on_rays + rng.normal(size=on_rays.shape) * 0.3]
    )
    shares, gradients = space.shares_and_gradients(queries)
    assert np.array_equal(space.shares(queries), shares)
    places = ((queries - LOW) * CELLS_PER_VOXEL - 0.5).T
    expected = ndimage.map_coordinates(cells, places, order=1)
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert (shares > 0.5).sum() > 500
    step = 1e-3
    for axis in range(3):
        ahead, behind = (space.shares(queries + sign * step * np.eye(3)[axis]) for sign in (1, -1))
        within = np.abs(places[axis] % 1 - 0.5) < 0.49  # both in the same cell
        expected = (ahead.astype(float) - behind) / (2 * step)
        np.testing.assert_allclose(gradients[within, axis], expected[within], atol=2e-3)


def test_nothing_is_free_where_no_scanner_is_known_and_far_queries_are_answered() -> None:
    ends = np.random.default_rng(3).uniform(0, 20, (100, 3))
    space = found_of(ends, np.full((100, 3), np.nan))
    assert space.cells == 0 and len(space.keys) == 0
    far = np.array([[1e9, 0, 0], [np.nan, 0, 0], [-1e7, 5, 5]])
    assert not space.shares(far).any()
    assert not found_of(ends, np.zeros((100, 3))).shares(far).any()
