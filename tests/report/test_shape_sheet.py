"""The sheet of meshes: a panel for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from sparse_convonet.report.shape_sheet import SheetShape, show_mesh, write_shape_sheet
from sparse_convonet.structures import Mesh


def test_every_mesh_has_a_panel_and_empty_ones_say_so(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces))
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    shapes = [SheetShape(mesh, "a"), SheetShape(empty, "b"), SheetShape(mesh, "c"), SheetShape(None, "d")]
    write_shape_sheet(tmp_path / "sheet.png", "four", shapes, columns=2)
    picture = np.array(Image.open(tmp_path / "sheet.png"))
    assert picture.shape == (52 + 2 * (240 + 22 + 12), 2 * (240 + 12) + 12, 3)
    dark = [
        (
            picture[52 + row * 274 + 60 : 52 + row * 274 + 180, 12 + column * 252 + 60 : 12 + column * 252 + 180] < 240
        ).mean()
        for row in range(2)
        for column in range(2)
    ]
    assert dark[0] > 0.8 and dark[2] > 0.8 and 0 < dark[1] < 0.2 and 0 < dark[3] < 0.2
    assert np.array_equal(show_mesh(mesh, 64), show_mesh(Mesh(10 * mesh.vertices + 5, mesh.faces), 64))
