"""The folder of a Matterport3D scan, unpacked or as downloaded, and archives that cannot be trusted."""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.io import matterport
from sparse_convonet.io.matterport import read_matterport
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud

SCAN = "17DRP5sb8fy"


def _box(x: float, suffix: str = "ply") -> bytes:
    """A unit box around (x, 0, 0), so that x tells which part was read."""
    solid = trimesh.creation.box(transform=trimesh.transformations.translation_matrix([x, 0, 0]))
    exported = solid.export(file_type=suffix)
    return exported if isinstance(exported, bytes) else exported.encode()


PARTS = {
    "house_segmentations": {f"{SCAN}.ply": _box(10), f"{SCAN}.house": b"ASCII 1.1", f"{SCAN}.fsegs.json": b"{}"},
    "region_segmentations": {"region0.ply": _box(20), "region1.ply": _box(22), "region10.ply": _box(24)},
    "matterport_mesh": {"0a1b/0a1b.obj": _box(30, "obj"), "0a1b/0a1b.mtl": b"", "0a1b/0.jpg": b"\xff"},
}
PARTS["region_segmentations"]["region0.semseg.json"] = b"{}"
CENTRES = {"house_segmentations": [10], "region_segmentations": [20, 22, 24], "matterport_mesh": [30]}


def _unpacked(folder: Path, part: str) -> None:
    for name, content in PARTS[part].items():
        path = folder / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _zipped(folder: Path, part: str) -> None:
    with zipfile.ZipFile(folder / f"{part}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{SCAN}/{part}/", "")
        for name, content in PARTS[part].items():
            archive.writestr(f"{SCAN}/{part}/{name}", content)


@pytest.mark.parametrize("store", [_unpacked, _zipped])
@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_found_and_read_whole(tmp_path: Path, store, part: str, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path, part)
    before = sorted(tmp_path.rglob("*"))
    with caplog.at_level(logging.INFO):
        mesh = read_matterport(tmp_path)
    assert f"reading {part}" in caplog.text
    solid = mesh.to_trimesh()
    solid.merge_vertices()
    assert sorted(round(box.centroid[0]) for box in solid.split()) == CENTRES[part]
    assert solid.is_watertight and solid.volume == pytest.approx(len(CENTRES[part]))
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked to disk


@pytest.mark.parametrize("store", [_unpacked, _zipped])
def test_the_house_goes_before_regions_before_the_textured_mesh(tmp_path: Path, store) -> None:
    for part, low in (("matterport_mesh", 29.5), ("region_segmentations", 19.5), ("house_segmentations", 9.5)):
        store(tmp_path, part)
        assert read_matterport(tmp_path).vertices[:, 0].min() == pytest.approx(low)


def test_read_points_samples_the_scan(tmp_path: Path) -> None:
    _zipped(tmp_path, "house_segmentations")
    cloud = read_points(tmp_path, sample_spacing_m=0.02)
    assert len(cloud) == 15_000
    assert np.abs(np.abs(cloud.points - [10, 0, 0]).max(axis=1) - 0.5).max() < 1e-6


def test_a_folder_that_is_no_scan_says_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    message = (
        "expected a file, or the folder of a Matterport3D scan with house_segmentations.*found photos; name a file"
    )
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path)
    with pytest.raises(ValueError, match="found an empty folder"):
        read_points(tmp_path / "photos")


@pytest.mark.parametrize("name", ["../../evil.ply", "/etc/evil.ply", "C:\\evil.ply", "a/..\\..\\evil.ply"])
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "house_segmentations.zip", "w") as archive:
        archive.writestr(f"{SCAN}/house_segmentations/{SCAN}.ply", _box(0))
        archive.writestr(name, _box(0))
    with pytest.raises(ValueError, match="which leaves it; do not trust this archive"):
        read_points(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["house_segmentations.zip"]


def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matterport, "MAX_MEMBER_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "house_segmentations.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{SCAN}/house_segmentations/{SCAN}.ply", b"ply\n" + b"\0" * 10_000)
    with pytest.raises(ValueError, match="expected files of at most 1000 bytes, found 10004"):
        read_points(tmp_path)


def test_damaged_archives_and_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "house_segmentations.zip"
    _zipped(tmp_path, "house_segmentations")
    content = path.read_bytes()
    start = zipfile.ZipFile(io.BytesIO(content)).infolist()[1].header_offset + 120
    for damaged in (
        b"garbage" * 30,
        content[: len(content) // 2],
        content[:start] + b"\xff" * 40 + content[start + 40 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or truncated"):
            read_points(tmp_path)


def test_points_without_faces_are_no_scan(tmp_path: Path) -> None:
    (tmp_path / "house_segmentations").mkdir()
    write_points(tmp_path / "house_segmentations" / "a.ply", PointCloud(np.zeros((1, 3))))
    with pytest.raises(ValueError, match="a.ply: expected a mesh, found 1 points without faces"):
        read_points(tmp_path)
