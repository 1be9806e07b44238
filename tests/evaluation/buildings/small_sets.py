"""A benchmark of one empty room, made in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_convonet.evaluation.buildings import making, protocol
from sparse_convonet.evaluation.buildings.protocol import BuildingSet
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.structures import Mesh
from tests.data.scanner.box_scenes import box_mesh

ROOM = (4.0, 5.0, 2.7)
AREA_M2 = 2 * (4.0 * 5.0 + 4.0 * 2.7 + 5.0 * 2.7)
PER_M2 = (50.0, 100.0, 200.0)


def make_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PER_M2", PER_M2)
    monkeypatch.setattr(making, "_AREA_RAYS", 60_000)


def room_file(folder: Path) -> Path:
    """The mesh of the room, 4 x 5 x 2.7 m."""
    path = folder / "room.ply"
    write_mesh(path, Mesh(*box_mesh((0.0, 0.0, 0.0), ROOM)))
    return path


def room_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, BuildingSet]:
    """The folder of the set, and what is in it."""
    make_few_points(monkeypatch)
    folder = tmp_path / "set"
    return folder, making.make_set(folder, 0, [room_file(tmp_path)], "some", lambda _: None)
