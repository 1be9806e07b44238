"""What every reader has in common: the dispatch by suffix, and refusals before reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import POINT_WRITERS, READ_SUFFIXES, read_points, write_points
from sparse_convonet.structures import Mesh, PointCloud


def test_every_format_of_the_specification_is_known() -> None:
    wanted = ".ply .pcd .xyz .txt .csv .pts .npz .npy .las .laz .e57 .obj .off .stl .glb .gltf"
    wanted += " .tsv .asc .xyzi .xyzn .xyzrgb .ptx .bt .ot"
    assert set(READ_SUFFIXES) == set(wanted.split())
    assert set(POINT_WRITERS) <= set(READ_SUFFIXES)


@pytest.mark.parametrize("suffix", sorted(READ_SUFFIXES))
def test_a_missing_file_is_refused_in_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    with pytest.raises(FileNotFoundError) as caught:
        read_points(path)
    assert str(caught.value) == f"{path} does not exist; check the path"


@pytest.mark.parametrize("suffix", sorted(READ_SUFFIXES))
def test_an_empty_file_is_refused_in_one_sentence(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scan{suffix}"
    path.touch()
    with pytest.raises(ValueError) as caught:
        read_points(path)
    assert str(caught.value) == f"{path}: expected points or a mesh, found an empty file; export or copy it again"


@pytest.mark.parametrize("suffix", sorted(set(READ_SUFFIXES) - {".las", ".laz", ".e57"}))
def test_garbage_is_refused_in_one_sentence_and_never_an_empty_cloud(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    path = tmp_path / f"scan{suffix}"
    for content in (rng.bytes(3000), b"<html>not found</html>\n", b"\n" * 99, bytes(1000), b"PK\x03\x04" + bytes(90)):
        path.write_bytes(content)
        with pytest.raises(ValueError) as caught:
            read_points(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: expected ") and ", found " in text and "; " in text and "\n" not in text


@pytest.mark.parametrize("name", ["scan.fbx", "scan", "scan.ply.bak"])
def test_an_unknown_suffix_lists_the_known(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("x")
    with pytest.raises(ValueError, match="expected one of .pcd, .*; convert or rename the file") as caught:
        read_points(path)
    assert all(suffix in str(caught.value) for suffix in READ_SUFFIXES)
    with pytest.raises(ValueError, match="expected one of .ply, .npz, .xyz, .las, .laz, found"):
        write_points(path, PointCloud(np.zeros((1, 3))))


def test_suffixes_in_capitals_and_paths_as_text_are_understood(tmp_path: Path) -> None:
    (tmp_path / "SCAN.XYZ").write_text("1 2 3\n")
    assert read_points(str(tmp_path / "SCAN.XYZ")).points.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".xyz"])
def test_a_single_point_is_read(tmp_path: Path, suffix: str) -> None:
    write_points(tmp_path / f"a{suffix}", PointCloud(np.array([[1.5, -2, 3]])))
    assert read_points(tmp_path / f"a{suffix}").points.tolist() == [[1.5, -2, 3]]


@pytest.mark.parametrize("suffix", [".ply", ".npz", ".xyz", ".las", ".laz", ".obj", ".glb", ".stl", ".off"])
def test_random_damage_gives_points_or_one_sentence(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    if suffix in (".las", ".laz"):
        pytest.importorskip("lazrs", reason="laspy or lazrs is not installed (extra las)")
    path = tmp_path / f"scan{suffix}"
    if suffix in POINT_WRITERS:
        write_points(path, PointCloud(rng.random((100, 3))))
    else:
        corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        write_mesh(path, Mesh(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])))
    content = path.read_bytes()
    for _ in range(60):
        damaged = np.frombuffer(content, dtype=np.uint8).copy()
        damaged[rng.integers(0, min(len(content), 500), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        try:
            assert len(read_points(path, sample_spacing_m=0.5)) > 0  # damaged corners lie far apart
        except ValueError as error:
            assert "expected " in str(error) and "\n" not in str(error)


def test_zero_points_are_refused(tmp_path: Path) -> None:
    for suffix in (".ply", ".npz", ".xyz"):
        write_points(tmp_path / f"a{suffix}", PointCloud(np.zeros((0, 3))))
        with pytest.raises(ValueError, match="expected at least one point, found none"):
            read_points(tmp_path / f"a{suffix}")
