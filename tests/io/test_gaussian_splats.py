"""Gaussian splats in PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.io.made_scans import read_both_ways, splats

COUNT = 2000
K = np.arange(COUNT)
RGB = np.tile([200, 100, 50], (COUNT, 1))


@pytest.fixture
def room(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((COUNT, 3)) * [6, 4, 2.7]).round(4)


def test_gaussian_splats_have_their_colour_and_floaters_are_left_out(tmp_path: Path, room: np.ndarray) -> None:
    opacity = np.where(K % 5 == 0, -4.0, 2.0)  # logits: 0.02 and 0.88
    (tmp_path / "a.ply").write_bytes(splats(room, RGB, opacity))
    cloud = read_both_ways(tmp_path / "a.ply")
    assert np.array_equal(cloud.points, room[K % 5 > 0].astype(np.float32)) and cloud.normals is None
    assert cloud.colours is not None and np.unique(cloud.colours, axis=0).tolist() == [[200, 100, 50]]
    assert cloud.left_out.transparent == COUNT // 5
