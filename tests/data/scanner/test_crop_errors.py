"""What a scan has wrong with it, put on points that were drawn without errors; and hints in their shares."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.scanner import crop_errors
from sparse_convonet.data.scanner.crop_errors import directions_to, draw_hints, noisier, with_errors
from sparse_convonet.data.scanner.visible_surface import SeenPoints

SCANS = 60


def floor(count: int = 4000) -> SeenPoints:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-3, 3, (count, 2)), np.zeros((count, 1))], axis=1)
    return SeenPoints(
        points, np.tile(np.array([0, 0, 1], dtype=np.float32), (count, 1)), np.tile([0.0, 0.0, 1.5], (count, 1))
    )


def wall(count: int = 4000) -> SeenPoints:
    rng = np.random.default_rng(0)
    points = np.concatenate([np.zeros((count, 1)), rng.uniform(0, 3, (count, 2))], axis=1)
    scanners = points + [2.0, 0.0, 0.0]  # straight before each
    return SeenPoints(points, np.tile(np.array([1, 0, 0], dtype=np.float32), (count, 1)), scanners)


def test_noise_along_the_ray_lies_between_the_limits_and_across_it_is_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_errors, "_SEVERAL_PASSES_SHARE", 0.0)
    monkeypatch.setattr(crop_errors, "_STRAY_SHARE", 0.0)
    deviations = []
    for seed in range(SCANS):
        found = with_errors(wall(), 0.1, np.random.default_rng(seed))
        across = (found.points - found.scanners + [2.0, 0.0, 0.0])[:, 1:].std()
        deviations.append(found.points[:, 0].std())
        along = np.hypot(crop_errors._ALONG_RAY, crop_errors._ACROSS_RAY)
        assert across / deviations[-1] == pytest.approx(crop_errors._ACROSS_RAY / along, rel=0.15)
    low, high = (each * along for each in crop_errors._NOISE_M)
    assert 0.9 * low < min(deviations) < 3 * low and 0.5 * high < max(deviations) < 1.1 * high
    middle = np.sqrt(low * high)  # log-uniform
    assert abs((np.array(deviations) < middle).mean() - 0.5) < 4 * 0.5 / np.sqrt(SCANS)


def test_noise_is_no_more_than_a_share_of_the_voxels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_errors, "_STRAY_SHARE", 0.0)
    limit = crop_errors._MOST_NOISE * 0.005
    for seed in range(20):
        found = with_errors(wall(1000), 0.005, np.random.default_rng(seed)).points[:, 0]
        assert found.std() < 1.6 * limit  # of noise and of passes that disagree


def test_a_noisier_scan_has_noise_of_a_tenth_to_six_tenths_of_a_voxel_and_keeps_its_points() -> None:
    clean, spreads = floor(), []
    for seed in range(40):
        shaken = noisier(clean, 0.05, np.random.default_rng(seed))
        assert shaken.points.shape == clean.points.shape and shaken.normals is clean.normals
        along = ((shaken.points - clean.points) * directions_to(clean)).sum(axis=1)
        spreads.append(along.std() / 0.05)
    assert 0.08 < min(spreads) < 0.2 and 0.45 < max(spreads) < 0.62


def test_some_scans_lack_the_floor_and_strays_lie_on_their_rays() -> None:
    empty = 0
    for seed in range(SCANS):
        found = with_errors(floor(), 0.08, np.random.default_rng(seed))
        assert len(found.points) == len(found.normals) == len(found.scanners) <= 4000
        empty += not len(found.points)
        far = found.points[:, 2] > 0.2
        assert far.sum() <= 4000 * 2 * crop_errors._STRAY_SHARE
        to_scanner = found.scanners[far] - found.points[far]
        onto_floor = found.points[far] - to_scanner * (found.points[far, 2] / to_scanner[:, 2])[:, None]
        assert (np.abs(onto_floor[:, :2]) < 3.3).all() and (found.points[far, 2] < 1.45).all()
    assert 0 < empty <= SCANS * crop_errors._FLOOR_MISSING_SHARE + 4 * np.sqrt(SCANS * crop_errors._FLOOR_MISSING_SHARE)


def test_errors_are_a_function_of_the_generator_and_leave_their_input_as_it_was() -> None:
    given, before = floor(500), floor(500)
    first, again, other = (with_errors(given, 0.08, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.points, again.points)
    assert first.points.shape != other.points.shape or not np.array_equal(first.points, other.points)
    np.testing.assert_array_equal(given.points, before.points)


def test_nothing_stays_nothing() -> None:
    none = floor().select(np.zeros(0, dtype=np.int64))
    assert with_errors(none, 0.08, np.random.default_rng(0)).points.shape == (0, 3)


def test_hints_come_in_their_shares_and_are_unit_vectors_on_the_free_side() -> None:
    rng, seen, kinds = np.random.default_rng(0), floor(200), []
    for _ in range(400):
        hints = draw_hints(seen, 0.3, 0.6, rng)
        if hints is None:
            kinds.append((False, False))
            continue
        assert hints.shape == (200, 6) and hints.dtype == np.float32
        lengths = np.linalg.norm(hints.reshape(-1, 2, 3), axis=2)
        kinds.append((bool(lengths[0, 0]), bool(lengths[0, 1])))
        np.testing.assert_allclose(lengths, np.tile(np.array(kinds[-1], dtype=float), (200, 1)), atol=1e-5)
        if kinds[-1][0]:
            np.testing.assert_allclose(hints[:, :3], directions_to(seen), atol=1e-6)
        if kinds[-1][1]:
            cosine = hints[:, 5]
            assert 0.85 < cosine.min() < 0.9999 and cosine.mean() > 0.98
    directions, normals = np.mean(kinds, axis=0)
    assert abs(directions - 0.3) < 4 * np.sqrt(0.21 / 400) and abs(normals - 0.6) < 4 * np.sqrt(0.24 / 400)
    both = np.mean([all(kind) for kind in kinds])
    assert abs(both - 0.18) < 4 * np.sqrt(0.18 * 0.82 / 400)


@pytest.mark.parametrize(("directions", "normals"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_shares_of_none_and_all_are_exact(directions: float, normals: float) -> None:
    for seed in range(20):
        hints = draw_hints(floor(5), directions, normals, np.random.default_rng(seed))
        assert (hints is None) == (directions == normals == 0)
        if hints is not None:
            assert hints[:, :3].any() == bool(directions) and hints[:, 3:].any() == bool(normals)


def test_a_point_at_its_scanner_has_no_direction() -> None:
    seen = floor(3)
    at_home = SeenPoints(seen.scanners, seen.normals, seen.scanners)
    np.testing.assert_array_equal(directions_to(at_home), 0)
