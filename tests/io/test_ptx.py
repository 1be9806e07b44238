"""Scans of PTX, each with its pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points
from tests.io.made_scans import ptx, read_both_ways

COUNT = 2000
K = np.arange(COUNT)
RGB = np.tile([200, 100, 50], (COUNT, 1))


@pytest.fixture
def room(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((COUNT, 3)) * [6, 4, 2.7]).round(4)


@pytest.mark.parametrize("coloured", [False, True])
def test_scans_of_ptx_are_moved_to_their_places_and_rays_without_return_left_out(
    tmp_path: Path, room: np.ndarray, coloured: bool
) -> None:
    local = room.copy()
    local[::4] = 0
    turn, places = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), [[100.0, 200.0, 30.0], [0.0, 0.0, 2.0]]
    colours = RGB if coloured else None
    text = "".join(ptx(local, colours, turn, place) for place in places)
    (tmp_path / "a.ptx").write_text(text)
    cloud = read_both_ways(tmp_path / "a.ptx")
    kept = room[K % 4 > 0]
    assert cloud.points == pytest.approx(np.concatenate([kept @ turn.T + place for place in places]))
    assert cloud.scanners is not None and np.array_equal(cloud.scanners, np.repeat(places, len(kept), axis=0))
    assert (cloud.colours is not None) == coloured
    (tmp_path / "a.ptx").write_text(text[: len(text) // 3])
    with pytest.raises(ValueError, match="truncated|expected 4 or 7 numbers, as before|expected numbers in line"):
        read_points(tmp_path / "a.ptx")
    (tmp_path / "a.ptx").write_text("once upon a time\n" + text)
    with pytest.raises(ValueError, match="expected 1 numbers of a PTX header in line 1, found 'once upon a time'"):
        read_points(tmp_path / "a.ptx")
