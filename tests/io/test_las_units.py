"""What LAS files declare counts: units by WKT and GeoTIFF keys, withheld points and noise, compressors."""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_convonet.clouds.cleaning import clean_points, describe
from sparse_convonet.clouds.units import metres_per_unit
from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.points import read_points
from sparse_convonet.out_of_core.points.store_points import store_points
from sparse_convonet.structures import LeftOut

laspy = pytest.importorskip("laspy", reason="laspy is not installed (extra las)")
pytest.importorskip("lazrs", reason="lazrs is not installed (extra las)")
pytest.importorskip("pyproj", reason="pyproj is not installed (extra las)")

FOOT, US_FOOT = 0.3048, 1200 / 3937
LOCAL = 'LOCAL_CS["site",LOCAL_DATUM["site",0],UNIT["{}",{}],AXIS["X",EAST],AXIS["Y",NORTH]]'
OREGON = (
    'PROJCS["plane",GEOGCS["NAD83",DATUM["D",SPHEROID["GRS80",6378137,298.257222101]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",43],'
    'PARAMETER["central_meridian",-120],PARAMETER["scale_factor",1],PARAMETER["false_easting",0],'
    'PARAMETER["false_northing",0],UNIT["{}",{}]]'
)
HEIGHT = '{}["NAVD88",VERT_DATUM["NAVD88",2005],UNIT["{}",{}]]'
GEOGRAPHIC = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]]'
)


def _room(rng: np.random.Generator, count: int = 3000) -> np.ndarray:
    points = rng.random((count, 3)) * [40, 30, 9]
    axis = rng.integers(0, 3, count)
    points[np.arange(count), axis] = np.array([40, 30, 9])[axis] * rng.integers(0, 2, count)
    return points


def _write(path: Path, points: np.ndarray, wkt: str = "", keys: tuple = (), doubles: tuple = ()) -> Any:
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales = np.full(3, 1e-4)
    if wkt:
        header.vlrs.append(laspy.VLR("LASF_Projection", 2112, record_data=wkt.encode() + b"\0"))
    if keys:
        directory = np.array([(1, 1, 0, len(keys)), *keys], "<u2")
        header.vlrs.append(laspy.VLR("LASF_Projection", 34735, record_data=directory.tobytes()))
    if doubles:
        header.vlrs.append(laspy.VLR("LASF_Projection", 34736, record_data=struct.pack(f"<{len(doubles)}d", *doubles)))
    records = laspy.LasData(header)
    records.x, records.y, records.z = points.T
    records.write(str(path))
    return records


@pytest.mark.parametrize(
    ("wkt", "metres"),
    [
        (LOCAL.format("foot", FOOT), FOOT),
        (OREGON.format("US survey foot", US_FOOT), US_FOOT),
        (OREGON.format("metre", 1), 1.0),
        (OREGON.format("pace", 0.75), 0.75),
        (f'COMPD_CS["both",{OREGON.format("foot", FOOT)},{HEIGHT.format("VERT_CS", "foot", FOOT)}]', FOOT),
        (f"{OREGON.format('foot', FOOT)},{HEIGHT.format('VERTCS', 'foot', FOOT)}", FOOT),
    ],
)
@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_the_unit_of_a_wkt_scales_the_scan(
    tmp_path: Path, rng: np.random.Generator, wkt: str, metres: float, suffix: str
) -> None:
    _write(tmp_path / f"a{suffix}", _room(rng), wkt)
    cloud = read_points(tmp_path / f"a{suffix}")
    assert np.ptp(cloud.points, axis=0) == pytest.approx([40, 30, 9])  # in the file's units
    assert cloud.unit is not None and cloud.unit.metres == pytest.approx(metres, rel=1e-12)
    summary = describe(clean_points(cloud)[0])
    assert summary.units_declared and metres_per_unit(summary, None) == cloud.unit.metres
    assert metres_per_unit(summary, 0.5) == 0.5  # what the user says counts more
    _, found, _, _ = store_points([tmp_path / f"a{suffix}"], tmp_path / "work")
    assert str(found) == str(summary) and found.suggested_scale == summary.suggested_scale


@pytest.mark.parametrize(
    ("keys", "doubles", "metres"),
    [
        ([(1024, 0, 1, 1), (3076, 0, 1, 9002)], (), FOOT),
        ([(1024, 0, 1, 1), (3076, 0, 1, 9003)], (), US_FOOT),
        ([(1024, 0, 1, 1), (3072, 0, 1, 2994)], (), FOOT),  # NAD83(HARN) / Oregon GIC Lambert (ft)
        ([(1024, 0, 1, 1), (3072, 0, 1, 2927)], (), US_FOOT),  # NAD83(HARN) / Washington South (ftUS)
        ([(1024, 0, 1, 1), (3072, 0, 1, 32610)], (), 1.0),
        ([(1024, 0, 1, 1), (3072, 0, 1, 32767), (3076, 0, 1, 32767), (3077, 34736, 1, 1)], (7.0, 0.9144), 0.9144),
    ],
)
def test_the_unit_of_geotiff_keys_scales_the_scan(
    tmp_path: Path, rng: np.random.Generator, keys: list, doubles: tuple, metres: float
) -> None:
    _write(tmp_path / "a.las", _room(rng), keys=tuple(keys), doubles=doubles)
    unit = read_points(tmp_path / "a.las").unit
    assert unit is not None and unit.metres == pytest.approx(metres, rel=1e-12)


def test_a_wkt_behind_the_points_is_found(tmp_path: Path, rng: np.random.Generator) -> None:
    records = _write(tmp_path / "a.las", _room(rng))
    wkt = LOCAL.format("foot", FOOT).encode()
    records.evlrs = laspy.vlrs.vlrlist.VLRList([laspy.VLR("LASF_Projection", 2112, record_data=wkt)])
    records.write(str(tmp_path / "a.las"))
    unit = read_points(tmp_path / "a.las").unit
    assert unit is not None and (unit.name, unit.metres) == ("foot", FOOT)


@pytest.mark.parametrize("by_keys", [False, True])
def test_heights_of_another_unit_are_read_in_that_of_x_and_y_and_it_is_said(
    tmp_path: Path, rng: np.random.Generator, by_keys: bool, caplog: pytest.LogCaptureFixture
) -> None:
    points = _room(rng)
    if by_keys:
        _write(tmp_path / "a.las", points, keys=((1024, 0, 1, 1), (3076, 0, 1, 9001), (4099, 0, 1, 9002)))
    else:
        metres, height = OREGON.format("metre", 1), HEIGHT.format("VERT_CS", "foot", FOOT)
        _write(tmp_path / "a.las", points, f'COMPD_CS["both",{metres},{height}]')
    with caplog.at_level(logging.WARNING):
        cloud = read_points(tmp_path / "a.las")
    assert np.ptp(cloud.points, axis=0) == pytest.approx([40, 30, 9 * FOOT])
    assert cloud.unit is not None and cloud.unit.metres == 1
    assert "heights are in foot, x and y in metre: heights are read in metre" in caplog.text
    chunks = list(read_chunks(tmp_path / "a.las", chunk_points=700))
    assert np.array_equal(joined(chunks).points, cloud.points)


@pytest.mark.parametrize("by_keys", [False, True])
def test_degrees_are_refused_and_disbelieved_where_the_numbers_are_no_angles(
    tmp_path: Path, rng: np.random.Generator, by_keys: bool, caplog: pytest.LogCaptureFixture
) -> None:
    declared: dict = {"keys": ((1024, 0, 1, 2), (2048, 0, 1, 4326))} if by_keys else {"wkt": GEOGRAPHIC}
    _write(tmp_path / "a.las", _room(rng), **declared)
    summary = describe(clean_points(read_points(tmp_path / "a.las"))[0])
    with pytest.raises(ValueError, match="expected one unit of length, found an extent of .* in degrees, as its files"):
        metres_per_unit(summary, None)
    assert metres_per_unit(summary, 1.0) == 1.0
    _write(tmp_path / "b.las", _room(rng) + 5000, **declared)
    with caplog.at_level(logging.WARNING):
        assert read_points(tmp_path / "b.las").unit is None
    assert "declares degrees, though coordinates reach 50" in caplog.text


def test_a_system_that_cannot_be_understood_is_told(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "a.las", _room(rng), "no system at all")
    with caplog.at_level(logging.WARNING):
        assert read_points(tmp_path / "a.las").unit is None
    assert "what it says of its coordinate system tells no unit: no system at all" in caplog.text


@pytest.mark.parametrize("kind", [3, 6])
def test_withheld_points_and_noise_are_left_out_and_counted(
    tmp_path: Path, rng: np.random.Generator, kind: int
) -> None:
    points = _room(rng)
    records = laspy.LasData(laspy.LasHeader(version="1.4", point_format=kind))
    records.header.scales = np.full(3, 1e-4)
    records.x, records.y, records.z = points.T
    classes, withheld = np.full(len(points), 2, np.uint8), np.zeros(len(points), np.uint8)
    classes[:100], classes[100:130], withheld[120:160] = 7, 18, 1
    records.classification, records.withheld = classes, withheld
    records.synthetic = np.ones(len(points), np.uint8)  # which are points like others
    records.write(str(tmp_path / "a.las"))
    cloud = read_points(tmp_path / "a.las")
    assert len(cloud) == len(points) - 160 and cloud.left_out == LeftOut(withheld=40, noise=120)
    assert np.abs(cloud.points - points[160:]).max() < 1e-4
    for chunk_points in (7, 90, 5000):
        whole = joined(read_chunks(tmp_path / "a.las", chunk_points=chunk_points))
        assert np.array_equal(whole.points, cloud.points) and whole.left_out == cloud.left_out
    _, dropped = clean_points(cloud)
    assert (dropped.withheld, dropped.noise, dropped.total()) == (40, 120, 160)
    _, _, on_disk, points_read = store_points([tmp_path / "a.las"], tmp_path / "work")
    assert on_disk == dropped and points_read == len(points)


def test_a_file_of_noise_alone_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    records = _write(tmp_path / "a.las", _room(rng))
    records.classification = np.full(len(records.points), 7, np.uint8)
    records.write(str(tmp_path / "a.las"))
    with pytest.raises(ValueError, match="neither withheld nor noise .classes 7 and 18., found none of 3000"):
        read_points(tmp_path / "a.las")


def test_laz_in_one_piece_as_the_first_compressors_wrote_it_is_refused_in_true_words(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    header = laspy.LasHeader(version="1.2", point_format=0)
    records = laspy.LasData(header)
    records.x, records.y, records.z = _room(rng).T
    records.write(str(tmp_path / "a.laz"))
    content = bytearray((tmp_path / "a.laz").read_bytes())
    place = content.index(b"laszip encoded") - 2 + 54
    content[place : place + 8] = struct.pack("<HHBBH", 1, 0, 1, 2, 0)  # pointwise, by LASzip 1.2
    (tmp_path / "a.laz").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"found points in one piece, as LASzip 1.2 wrote them, which lazrs cannot read"
    ):
        read_points(tmp_path / "a.laz")
