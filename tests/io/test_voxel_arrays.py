"""Boolean arrays as voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.voxel_arrays import read_voxel_array


@pytest.fixture
def occupied(rng: np.random.Generator) -> np.ndarray:
    return rng.random((3, 4, 5)) > 0.5


def test_arrays_are_read_with_their_place(tmp_path: Path, occupied: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", occupied)
    np.save(tmp_path / "f.npy", np.asfortranarray(occupied))
    np.savez(tmp_path / "b.npz", grid=occupied)
    np.savez_compressed(
        tmp_path / "c.npz", voxels=occupied, voxel_size=np.array(0.1), origin=np.array([1, 2, 3]), more=1
    )
    for name in ("a.npy", "f.npy", "b.npz", "c.npz"):
        found = read_voxel_array(tmp_path / name)
        assert found.shape == (3, 4, 5) and np.array_equal(found.index, np.argwhere(occupied))
    assert found.size == 0.1 and found.centres()[0] == pytest.approx((found.index[0] + 0.5) * 0.1 + (1, 2, 3))
    assert read_voxel_array(tmp_path / "a.npy").size == 1


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"voxels": np.zeros((2, 2, 2), dtype=bool)}, "some occupied voxels, found none"),
        ({"voxels": np.ones((2, 2), dtype=bool)}, "bools with 3 axes"),
        ({"voxels": np.ones((2, 2, 2))}, "bools with 3 axes"),
        ({"a": np.ones(3), "b": np.ones(3)}, "occupied or voxels or occupancy"),
        ({"voxels": np.ones((2, 2, 2), dtype=bool), "voxel_size": np.array(-1.0)}, "positive voxel_size"),
        ({"voxels": np.ones((2, 2, 2), dtype=bool), "origin": np.array([0.0, np.nan, 0.0])}, "three finite numbers"),
    ],
)
def test_other_arrays_are_refused(arrays: dict[str, np.ndarray], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a.npz") as refused:
        read_voxel_array(tmp_path / "a.npz")
    assert sentence in str(refused.value)


@pytest.mark.parametrize("array", [np.ones((2, 2, 2)), np.ones((2, 2), dtype=bool), np.array([None])])
def test_other_single_arrays_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match="a.npy: expected"):
        read_voxel_array(tmp_path / "a.npy")
