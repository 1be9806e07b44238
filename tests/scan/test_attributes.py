"""reconstruct --attributes: vertices of mesh.ply take over what points near them carry, the same through the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import laspy
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sparse_convonet.commands.reconstruct import attribute_names
from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.ply_columns import copy_with_columns
from sparse_convonet.io.ply_format import read_elements
from sparse_convonet.io.points import write_points
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.attributes import require_attributes
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.io.made_scans import write_e57
from tests.synthetic_scan import ROOM, room_points

FAR = np.array([300_000.0, 5_000_000.0, 100.0])
FLOOR, OTHER = 2, 6


@pytest.fixture
def asked(tmp_path: Path) -> ScanRequest:
    """A room whose floor is a class of its own and whose intensity grows along x."""
    points = room_points(8000)
    records = laspy.LasData(laspy.LasHeader(version="1.2", point_format=0))
    records.header.scales, records.header.offsets = np.full(3, 1e-4), FAR
    records.x, records.y, records.z = (points + FAR).T
    records.intensity = (10_000 * points[:, 0]).clip(0, 65535).astype(np.uint16)
    records.classification = np.where(points[:, 2] < 0.05, FLOOR, OTHER).astype(np.uint8)
    records.add_extra_dim(laspy.ExtraBytesParams(name="my odd näme", type=np.float64))
    records["my odd näme"] = 1e9 + points[:, 0]
    records.write(str(tmp_path / "room.las"))
    settings = ReconstructionSettings(voxel_size_m=0.15)
    names = attribute_names(" intensity,classification , intensity, my odd näme")
    return ScanRequest([tmp_path / "room.las"], tmp_path / "out", settings, up="z", light=(), attributes=names)


def vertices(path: Path) -> dict[str, np.ndarray]:
    found = read_elements(path, path.read_bytes())["vertex"]
    return {name: each for name, each in found.items() if isinstance(each, np.ndarray)}


def test_vertices_take_over_what_points_near_them_carry_in_one_piece_and_through_the_disk(asked: ScanRequest) -> None:
    report = reconstruct_scan(asked)
    found = vertices(asked.out / "mesh.ply")
    assert {"observed", "expected_error", "intensity", "classification", "my_odd_n_me"} <= set(found)
    known = np.isfinite(found["intensity"])
    assert known[found["observed"] > 0].mean() > 0.99
    x, z = found["x"] - FAR[0], found["z"] - FAR[2]
    inside = known & (x > 0.3) & (x < ROOM[0] - 0.3)
    assert np.abs(found["intensity"][inside] - 10_000 * x[inside]).mean() < 1200  # a voxel has 1,500
    assert (found["classification"][known & (np.abs(z) < 0.04) & (found["observed"] > 0)] == FLOOR).mean() > 0.9
    assert (found["classification"][known & (z > 0.4)] == OTHER).mean() > 0.99
    assert report["mesh"]["vertices"] == len(x)
    assert np.abs(found["my_odd_n_me"][inside] - 1e9 - x[inside]).mean() < 0.12
    stored = replace(asked, out=asked.out.with_name("stored"), work=asked.out.with_name("work"))
    reconstruct_scan(stored)
    assert (stored.out / "mesh.ply").read_bytes() == (asked.out / "mesh.ply").read_bytes()
    plain = replace(asked, attributes=(), overwrite=True)
    reconstruct_scan(plain)
    without = vertices(plain.out / "mesh.ply")
    assert set(found) - set(without) == {"intensity", "classification", "my_odd_n_me"}
    for name, values in without.items():
        assert np.array_equal(values, found[name])


@pytest.mark.parametrize(
    ("name", "head", "order"),
    [
        ("scan.csv", "//X,Y,Z,Intensity,Classification", [0, 1, 2, 3, 4]),
        ("scan.txt", "classification red x y z intensity note", [4, 3, 0, 1, 2, 3, 5]),
        ("scan.pts", "8000", [0, 1, 2, 3]),
    ],
    ids=["csv", "words", "pts"],
)
def test_tables_carry_what_their_headings_name(tmp_path: Path, name: str, head: str, order: list[int]) -> None:
    points = room_points(8000)
    low = points[:, 2] < 0.05
    columns = [*points.T, (200 * points[:, 0]).clip(0).astype(int), np.where(low, FLOOR, OTHER), np.full(8000, "a")]
    separator = "," if "," in head else " "
    lines = [separator.join(map(str, row)) for row in zip(*(columns[place] for place in order), strict=True)]
    (tmp_path / name).write_text("\n".join([head, *lines]) + "\n", encoding="ascii")
    names = {"scan.csv": ["Intensity", "Classification"], "scan.pts": ["intensity"]}.get(
        name, ["intensity", "classification"]
    )
    intensity = names[0]
    settings = ReconstructionSettings(voxel_size_m=0.15)
    reconstruct_scan(ScanRequest([tmp_path / name], tmp_path / "out", settings, up="z", light=(), attributes=names))
    found = vertices(tmp_path / "out" / "mesh.ply")
    known = np.isfinite(found[intensity]) & (found["x"] > 0.3) & (found["x"] < ROOM[0] - 0.3)
    assert np.abs(found[intensity][known] - 200 * found["x"][known]).mean() < 24
    if len(names) > 1:
        on_floor = known & (np.abs(found["z"]) < 0.04) & (found["observed"] > 0)
        assert found[names[1]].dtype == np.uint8 and (found[names[1]][on_floor] == FLOOR).mean() > 0.9


def test_what_the_user_says_of_columns_holds_for_what_they_carry_too(tmp_path: Path) -> None:
    points = room_points(8000)
    lines = [f"{y},{x},{z},{x}" for x, y, z in points]
    (tmp_path / "room.csv").write_text("\n".join(["x,y,z,along", *lines]) + "\n", encoding="ascii")
    settings = ReconstructionSettings(voxel_size_m=0.15)
    asked = ScanRequest([tmp_path / "room.csv"], tmp_path / "out", settings, up="z", light=(), attributes=["along"])
    reconstruct_scan(replace(asked, columns=["y", "x", "z", "-"]))
    found = vertices(tmp_path / "out" / "mesh.ply")
    known = np.isfinite(found["along"])
    assert known[found["observed"] > 0].mean() > 0.99
    known &= (found["x"] > 0.3) & (found["x"] < ROOM[0] - 0.3)
    assert np.abs(found["along"][known] - found["x"][known]).mean() < 0.12


def test_what_points_do_not_carry_is_refused_before_the_work(asked: ScanRequest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected numbers colour of each point, found intensity, .*classification"):
        reconstruct_scan(replace(asked, attributes=["colour"]))
    write_points(tmp_path / "room.xyz", PointCloud(room_points(200)))
    with pytest.raises(ValueError, match="expected numbers intensity of each point, found none"):
        reconstruct_scan(replace(asked, inputs=[tmp_path / "room.xyz"], attributes=["intensity"]))
    with pytest.raises(
        ValueError, match="expected names that the vertices of mesh.ply do not have, found nx, observed"
    ):
        reconstruct_scan(replace(asked, attributes=["nx", "intensity", "observed"]))
    with pytest.raises(ValueError, match=r"expected names that differ in letters, digits and _, found a b, a_b; ask"):
        reconstruct_scan(replace(asked, attributes=["a b", "a_b"]))
    with pytest.raises(ValueError, match="--attributes: expected names such as intensity,classification, found ' ,'"):
        attribute_names(" ,")
    assert not asked.out.exists()


def test_e57_is_read_for_what_is_asked_of_it(tmp_path: Path) -> None:
    points = room_points(3000)
    rotation = Rotation.from_euler("z", 30, degrees=True)
    intensity = {"intensity": np.ascontiguousarray(points[:, 2] * 100)}
    write_e57(tmp_path / "room.e57", [PointCloud(points)], rotation, intensity)
    require_attributes([tmp_path / "room.e57"], ["intensity"])
    with pytest.raises(ValueError, match="expected numbers colour of each point, found none"):
        require_attributes([tmp_path / "room.e57"], ["colour"])
    chunks = list(read_chunks(tmp_path / "room.e57", chunk_points=700, attributes=["intensity"]))
    assert len(chunks) > 3
    found = np.concatenate([chunk.attributes["intensity"] for chunk in chunks])
    np.testing.assert_allclose(found, 100 * points[:, 2], atol=1e-3)
    plain = list(read_chunks(tmp_path / "room.e57", chunk_points=700))
    assert not plain[0].attributes
    for one, other in zip(chunks, plain, strict=True):
        assert np.array_equal(one.points, other.points)


def test_other_files_and_names_that_are_there_are_refused(tmp_path: Path) -> None:
    write_points(tmp_path / "a.ply", PointCloud(np.zeros((3, 3))))
    kind = {"x": np.dtype(np.float32)}
    with pytest.raises(ValueError, match="expected names that its vertices do not have, found x"):
        copy_with_columns(tmp_path / "a.ply", tmp_path / "b.ply", kind, lambda places: {"x": places[:, 0]})
    (tmp_path / "t.ply").write_text("ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n")
    with pytest.raises(ValueError, match="expected a binary PLY that begins with its vertices"):
        copy_with_columns(tmp_path / "t.ply", tmp_path / "b.ply", {}, lambda places: {})


def test_a_scan_in_a_file_that_lacks_them_gives_none(tmp_path: Path) -> None:
    pye57 = pytest.importorskip("pye57")
    points = room_points(4000)
    with pye57.E57(str(tmp_path / "room.e57"), mode="w") as archive:
        for half, more in ((points[::2], {"intensity": np.ascontiguousarray(points[::2, 0])}), (points[1::2], {})):
            columns = {f"cartesian{axis}": np.ascontiguousarray(half[:, n]) for n, axis in enumerate("XYZ")}
            archive.write_scan_raw({**columns, **more})
    settings = ReconstructionSettings(voxel_size_m=0.15)
    request = ScanRequest(
        [tmp_path / "room.e57"], tmp_path / "out", settings, up="z", light=(), attributes=["intensity"]
    )
    reconstruct_scan(request)
    found = vertices(request.out / "mesh.ply")
    known = np.isfinite(found["intensity"])
    assert 0.9 < known[found["observed"] > 0].mean() and np.abs(found["intensity"] - found["x"])[known].mean() < 0.12
