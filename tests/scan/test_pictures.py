"""reconstruct --pictures: one for each storey and a section, the same through the disk; those of earlier runs go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.io.points import write_points
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.pictures import write_pictures
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.small_pictures import PIXELS
from tests.synthetic_scan import ROOM, room_points


@pytest.fixture
def asked(tmp_path: Path) -> ScanRequest:
    write_points(tmp_path / "room.ply", PointCloud(room_points(8000)))
    settings = ReconstructionSettings(voxel_size_m=0.15)
    return ScanRequest([tmp_path / "room.ply"], tmp_path / "out", settings, up="z", light=(), pictures=True)


def test_pictures_are_those_of_this_run_in_one_piece_and_through_the_disk(asked: ScanRequest) -> None:
    asked.out.mkdir()
    (asked.out / "storey_7.png").write_text("of an earlier run")
    with pytest.raises(ValueError, match="holds storey_7.png already"):
        reconstruct_scan(asked)
    reconstruct_scan(replace(asked, overwrite=True))
    expected = ["mesh.glb", "mesh.ply", "preview.png", "report.json", "section.png", "storey_1.png"]
    assert sorted(path.name for path in asked.out.iterdir()) == expected
    stored = replace(asked, out=asked.out.with_name("stored"), work=asked.out.with_name("work"))
    reconstruct_scan(stored)
    for name in ("section.png", "storey_1.png"):
        assert (stored.out / name).read_bytes() == (asked.out / name).read_bytes()
    shape = np.asarray(Image.open(asked.out / "section.png")).shape
    assert shape[1] == PIXELS[0]
    assert shape[0] < 1.2 * PIXELS[0] * ROOM[2] / max(ROOM[:2])  # from the side, its long one across
    upper = Storey(1.2, 1.1, 2.0)
    write_pictures(asked.out / "mesh.glb", [Storey(0.0, -0.2, 1.1), upper], "room", asked.out.joinpath)
    assert (asked.out / "storey_2.png").exists()
    reconstruct_scan(replace(asked, overwrite=True, pictures=False))
    assert sorted(path.name for path in asked.out.iterdir()) == ["mesh.ply", "preview.png", "report.json"]
