"""The frame of a model: exact on disk, and refused in one sentence where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.sidecar import FRAME_FILE, read_frame, write_frame
from tests.io.made_archives import refusal

METRES = st.floats(1e-6, 1e9)
PLACES = st.floats(-1e9, 1e9)


@given(centre=st.tuples(PLACES, PLACES, PLACES), side=METRES)
def test_a_frame_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, centre: tuple[float, float, float], side: float
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_frame(folder, UnitFrame(np.array(centre), side))
    found = read_frame(folder)
    assert found is not None and found.metres_per_unit == side
    assert found.centre_world.dtype == np.float64 and np.array_equal(found.centre_world, centre)


def test_numbers_of_numpy_are_written_too(tmp_path: Path) -> None:
    write_frame(tmp_path, UnitFrame(np.arange(3, dtype=np.float32), float(np.float32(4.5))))
    write_frame(tmp_path, UnitFrame(np.arange(3, dtype=np.float32), np.float32(4.5)))  # type: ignore[arg-type]
    assert json.loads((tmp_path / FRAME_FILE).read_text()) == {"metres_per_unit": 4.5, "centre_world": [0, 1, 2]}


def test_without_a_file_the_size_is_not_known(tmp_path: Path) -> None:
    assert read_frame(tmp_path) is None
    assert read_frame(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"metres_per_unit": 4}',
        b'{"centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": null, "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": 0, "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": -4, "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": NaN, "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": 1e999, "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": 1' + b"0" * 400 + b', "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": 1' + b"0" * 5000 + b', "centre_world": [0, 0, 0]}',
        b'{"metres_per_unit": 4, "centre_world": [0, 0]}',
        b'{"metres_per_unit": 4, "centre_world": [[0, 0, 0]]}',
        b'{"metres_per_unit": 4, "centre_world": [0, 0, Infinity]}',
        b'{"metres_per_unit": 4, "centre_world": [0, 0, "a"]}',
        b'{"metres_per_unit": 4, "centre_world": [0, 0, 1' + b"0" * 400 + b"]}",
        b'{"metres_per_unit": 4, "centre_world": [0, [0], 0]}',
        b'{"metres_per_unit": 4, "centre_world": {}}',
    ],
    ids=lambda content: str(content[:60]),
)
def test_a_damaged_frame_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FRAME_FILE
    path.write_bytes(content)
    message = refusal(lambda path: read_frame(path.parent), path)
    assert "expected metres_per_unit (a number) and centre_world (three numbers), found something else" in message
