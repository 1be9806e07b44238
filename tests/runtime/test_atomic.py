"""A file that is written appears whole or not at all."""

from __future__ import annotations

import errno
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io import meshes
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh


def test_the_file_has_the_new_content_and_no_temporary_is_left(tmp_path: Path) -> None:
    target = tmp_path / "mesh.ply"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".ply" and temporary != target
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_memory_does_not_grow_with_the_folders_that_were_written_to(tmp_path: Path) -> None:
    def write_to_folders(numbers: range) -> None:
        for number in numbers:
            (tmp_path / str(number)).mkdir()
            with atomic_path(tmp_path / str(number) / "mesh.ply") as temporary:
                temporary.write_text("new")

    tracemalloc.start()
    try:
        write_to_folders(range(300))
        before = tracemalloc.get_traced_memory()[0]
        write_to_folders(range(300, 600))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 60_000  # remembered, they would be 120 kB


@pytest.mark.parametrize("error", [ValueError("bad"), OSError(errno.EIO, "broken"), KeyboardInterrupt(), SystemExit(1)])
def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "mesh.ply"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_before_anything_exists_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bad"), atomic_path(tmp_path / "new.ply"):
        raise ValueError("bad")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_what_was_written_and_that_nothing_was_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "mesh.ply"
    target.write_text("old")
    with pytest.raises(OSError) as caught, atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    assert f"disk full while writing {target}" in str(caught.value)
    assert "nothing was overwritten" in str(caught.value)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_is_full_only_when_flushed_is_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mesh.ply"
    target.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    with pytest.raises(OSError, match="disk full while writing"):
        meshes.write_mesh(target, mesh)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.txt"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    with atomic_path(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_and_a_folder_as_target_are_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder .* does not exist; create it first"):
        atomic_path(tmp_path / "no" / "mesh.ply").__enter__()
    with pytest.raises(IsADirectoryError, match="it is a folder; name a file in it"):
        atomic_path(tmp_path).__enter__()


def test_names_at_the_length_limit_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("m" * 251 + ".ply")  # 255 bytes, the longest that common file systems allow
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
