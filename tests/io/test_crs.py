"""Where on the Earth a scan stands, as its files declare or the user says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.crs import crs_of, name_of, prj_of, to_earth, unit_of
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.out_of_core.assembly.surface_blocks import SurfaceBlock
from sparse_convonet.out_of_core.assembly.tiles3d import TILESET, TilesetWriter
from sparse_convonet.structures import Mesh
from tests.oracles.tilesets import root_transform

laspy = pytest.importorskip("laspy", reason="laspy is not installed (extra las)")
pyproj = pytest.importorskip("pyproj", reason="pyproj is not installed (extra las)")

UTM32, UTM33, OREGON_FEET = "EPSG:25832", "EPSG:25833", "EPSG:2992"  # the last one in international feet
PLACE = np.array([691_600.0, 5_334_800.0, 519.0])  # in the first: Munich


def _las(path: Path, system: str | None) -> Path:
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.offsets, header.scales = np.floor(PLACE), np.full(3, 1e-4)
    if system is not None:
        header.add_crs(pyproj.CRS(system))
    records = laspy.LasData(header)
    records.x, records.y, records.z = (PLACE + np.eye(3)).T
    records.write(str(path))
    return path


def test_a_file_says_its_system_and_others_that_agree_or_are_silent_change_nothing(tmp_path: Path) -> None:
    files = [_las(tmp_path / f"{n}.las", system) for n, system in enumerate((None, UTM32, UTM32))]
    wkt = crs_of(files)
    assert wkt is not None and pyproj.CRS(wkt).to_epsg() == 25832
    assert crs_of(files[:1]) is None
    assert name_of(wkt) == "ETRS89 / UTM zone 32N"


def test_files_of_different_systems_are_refused_unless_the_user_says_one(tmp_path: Path) -> None:
    files = [_las(tmp_path / f"{system[5:]}.las", system) for system in (UTM32, UTM33)]
    with pytest.raises(
        ValueError, match=r"25833\.las: expected the coordinate system of 25832\.las, .* 32N, found .* 33N"
    ):
        crs_of(files)
    asked = crs_of(files, UTM33)
    assert asked is not None and pyproj.CRS(asked).to_epsg() == 25833


def test_what_is_no_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--crs: expected a coordinate system such as EPSG:25832, found 'my garden'"):
        crs_of([], "my garden")
    with pytest.raises(
        ValueError, match="--crs: expected a system in units of length, found WGS 84, which is in degrees"
    ):
        crs_of([], "EPSG:4326")


def test_units_are_those_of_x_and_y() -> None:
    assert unit_of(pyproj.CRS(UTM32).to_wkt()) == 1
    assert unit_of(pyproj.CRS(OREGON_FEET).to_wkt()) == pytest.approx(0.3048)
    assert unit_of(pyproj.CRS("EPSG:4326").to_wkt()) is None


def test_by_keys_of_geotiff_too(tmp_path: Path) -> None:
    header = laspy.LasHeader(version="1.2", point_format=0)
    directory = np.array([(1, 1, 0, 2), (1024, 0, 1, 1), (3072, 0, 1, 25832)], "<u2")
    header.vlrs.append(laspy.VLR("LASF_Projection", 34735, record_data=directory.tobytes()))
    records = laspy.LasData(header)
    records.x = records.y = records.z = np.zeros(2)
    records.write(str(tmp_path / "keys.las"))
    assert pyproj.CRS(crs_of([tmp_path / "keys.las"])).to_epsg() == 25832


def test_a_prj_is_one_line_that_gis_programs_read_and_has_no_heights() -> None:
    text = prj_of(pyproj.CRS("EPSG:25832+7837").to_wkt())
    assert text.startswith('PROJCS["ETRS') and "\n" not in text
    assert pyproj.CRS(text).to_epsg(min_confidence=20) == 25832
    assert not pyproj.CRS(text).is_compound


@pytest.mark.parametrize(("system", "unit"), [(UTM32, 1.0), (OREGON_FEET, 0.3048)])
def test_tiles_lie_on_the_earth_to_a_tenth_of_a_millimetre(system: str, unit: float, tmp_path: Path) -> None:
    place = PLACE if system == UTM32 else np.array([400_000.0 * unit, 300_000.0 * unit, 60.0])  # metres
    move = to_earth(pyproj.CRS(system).to_wkt(), unit)
    assert move is not None
    corners = place + np.array([[0.0, 0, 0], [30, 0, 0], [0, 20, 0], [0, 0, 9]])
    writer = TilesetWriter(tmp_path, corners.min(axis=0), corners.max(axis=0), 0.01, to_earth=move)
    mesh = with_area_normals(Mesh(corners, np.array([[0, 1, 2], [0, 1, 3]])))
    writer.add(SurfaceBlock((0, 0, 0), mesh, np.arange(4)), collapse_edges(mesh, 0.01))
    writer.finish()
    transform = root_transform(tmp_path / TILESET)
    origin = np.round([*(corners.min(axis=0)[:2] + corners.max(axis=0)[:2]) / 2, corners[:, 2].min()])
    found = (corners - origin) @ transform[:3, :3].T + transform[:3, 3]
    to_angles = pyproj.Transformer.from_crs(system, "EPSG:4979", always_xy=True)
    longitude, latitude = to_angles.transform(corners[:, 0] / unit, corners[:, 1] / unit)
    ecef = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    expected = np.stack(ecef.transform(longitude, latitude, corners[:, 2]), axis=1)
    assert np.abs(np.linalg.norm(expected, axis=1) - 6.37e6).max() < 3e4
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_degrees_have_no_place_for_a_mesh_in_metres() -> None:
    assert to_earth(pyproj.CRS("EPSG:4326").to_wkt(), 1.0) is None


def test_an_e57_file_says_its_system_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pye57 = pytest.importorskip("pye57", reason="pye57 is not installed (extra e57)")
    plain = pye57.libe57.StringNode
    for name, text in (("placed", pyproj.CRS(UTM32).to_wkt()), ("silent", ""), ("nonsense", "beside the church")):
        # pye57 writes the metadata itself, empty: the only text without letters that it writes.
        monkeypatch.setattr(pye57.libe57, "StringNode", lambda file, given, text=text: plain(file, given or text))
        with pye57.E57(str(tmp_path / f"{name}.e57"), mode="w") as archive:
            archive.write_scan_raw({f"cartesian{axis}": np.zeros(3) for axis in "XYZ"})
    monkeypatch.undo()
    assert pyproj.CRS(crs_of([tmp_path / "placed.e57"])).to_epsg() == 25832
    assert crs_of([tmp_path / "silent.e57"]) is None
    assert crs_of([tmp_path / "nonsense.e57"]) is None
