"""Points and meshes that once ended in a crash, another exception, too much memory or an unreadable sentence."""

from __future__ import annotations

import json
import struct
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.columns import to_normals
from sparse_convonet.io.matterport import read_matterport
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud
from tests.fuzz.containers import zip_list, zipped
from tests.fuzz.point_targets import npy
from tests.fuzz.registry import all_targets
from tests.fuzz.sandbox import refusal_of, sandbox


def sentence(name: str, content: bytes) -> str:
    """That of the refusal of an input; it is one line without control characters, which the judge sees to."""
    return refusal_of(all_targets()[name], content)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_npy_files_are_held_against_their_header_before_memory_is_taken() -> None:
    content = npy(np.zeros((5, 3)))
    for rows in (b"5368709120", b"9" * 30, b"-5"):
        assert "expected" in sentence("npy", content.replace(b"(5, 3)", b"(%s, 3)" % rows))


def test_members_of_archives_that_are_no_arrays_are_refused() -> None:
    assert "an intact array 'points'" in sentence("npz", zipped({"points": b"12345678"}))
    assert "furniture pack" in sentence("furniture pack", zipped({"format.npy": b"x"}))


def test_names_in_archives_cannot_write_to_the_terminal() -> None:
    found = sentence("npz", zip_list([("\x1b[2J\nother.npy", npy(np.zeros(3)))]))
    assert "found ?[2J other;" in found


def test_arrays_whose_header_python_2_wrote_are_read_without_a_warning(tmp_path: Path) -> None:
    content = npy(np.ones((5, 3))).replace(b"(5, 3), }  ", b"(5L, 3L), }")
    assert read_points(put(tmp_path, "a.npz", zipped({"points.npy": content}))).points.tolist() == [[1.0] * 3] * 5


@pytest.mark.parametrize("size", ["4,(99999999,)f8", "8[", "x", "1e3", "-4", "(4,)"])
def test_sizes_of_pcd_fields_are_numbers_and_no_expressions(size: str) -> None:
    head = f"FIELDS x y z\nSIZE {size} 4 4\nTYPE F F F\nWIDTH 1\nPOINTS 1\nDATA ascii\n1 2 3\n"
    assert "a PCD header with FIELDS" in sentence("pcd", head.encode())


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize("count", [2**31 - 1, 2**31, 2**62, 10**3000])
def test_counts_of_pcd_fields_do_not_wrap_around(count: int, encoding: str) -> None:
    head = f"FIELDS x y z rgb _\nSIZE 4 4 4 4 1\nTYPE F F F U U\nCOUNT 1 1 1 1 {count}\nWIDTH 5\nDATA {encoding}\n"
    found = sentence("pcd", head.encode() + bytes(90))
    assert "bytes for each point" in found or "a larger one" in found


@pytest.mark.parametrize("colour", ["1e30", "nan", "-1e300", "4294967296"])
def test_packed_colours_out_of_range_are_black(tmp_path: Path, colour: str) -> None:
    head = "FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii\n"
    cloud = read_points(put(tmp_path, "a.pcd", f"{head}1 2 3 {colour}\n4 5 6 65793\n"))
    assert cloud.colours is not None and cloud.colours.tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("length", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_normals_of_any_length_become_unit_vectors(length: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        directions = np.array([[0.6, 0, -0.8], [0, 0, 1]])
        normals = to_normals(directions * [[length], [1]])
    assert normals is not None and np.allclose(normals, directions, rtol=0, atol=1e-7)


def test_large_numbers_in_text_are_no_normals(tmp_path: Path) -> None:
    path = put(tmp_path, "a.xyz", "1 2 3 1e300 0 0\n4 5 6 0 0 1\n")
    with pytest.raises(ValueError, match="expected names of its 6 columns, or values that tell what they are"):
        read_points(path)
    assert len(read_points(path, columns="x y z - - -".split())) == 2


PLY = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
PLY += "property list uchar {} vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n{}\n"


@pytest.mark.parametrize("face", ["nan 0 1 2", "inf 0 1 2", "1e30 0 1 2", "3 0 1 nan", "3 0 1 1e300", "3 0 1 1.5"])
def test_faces_of_ply_files_are_whole_numbers(face: str) -> None:
    sentence("ply", PLY.format("int", face).encode())


def test_lengths_of_lists_are_whole_numbers() -> None:
    assert "the line" in sentence("ply", PLY.format("int", "3 0 1 2").replace("list uchar", "list float").encode())


@pytest.mark.parametrize("corner", ["1e300", "nan", "99999999999999999999", "0", "1.5"])
def test_faces_of_obj_files_are_whole_numbers(corner: str) -> None:
    assert "whole vertex numbers" in sentence("obj", f"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 {corner}\n".encode())


def test_an_off_file_of_edges_only_is_a_cloud(tmp_path: Path) -> None:
    found = read_geometry(put(tmp_path, "a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n"))
    assert isinstance(found, PointCloud) and len(found) == 3


def test_counts_of_thousands_of_digits_are_refused() -> None:
    sentence("off", b"OFF\n" + b"9" * 5000 + b" 1 0\n0 0 0\n")
    sentence("off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n" + b"9" * 30 + b" 0 1 2\n")


def test_long_and_odd_words_of_a_header_are_cut_short() -> None:
    for content in (
        b"ply\n" + b"a" * 5000 + b"\nend_header\n",
        b"ply\nformat ascii 1.0\nelement \x1b[2J 1\nend_header\n",
    ):
        assert len(sentence("ply", content)) < 500


def test_damaged_textures_are_refused_and_pictures_too_large_are_not_unpacked() -> None:
    content = all_targets()["glb"].samples[1]
    place = content.index(b"IDAT") + 6
    assert "a .glb mesh" in sentence("glb", content[:place] + bytes(8) + content[place + 8 :])
    place = content.index(b"IHDR") + 4
    header = struct.pack(">II", 12_000, 12_000) + content[place + 8 : place + 13]
    large = content[:place] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + content[place + 17 :]
    with sandbox(all_targets()["glb"]) as box:
        assert not box.judge(large).fault


def test_a_mesh_of_immense_area_is_refused() -> None:
    assert "area" in sentence("scan", PLY.format("int", "3 0 1 2").replace("1 0 0\n", "1e200 0 0\n").replace(
        "0 1 0\n", "0 1e200 0\n").encode())  # fmt: skip


def test_archives_of_methods_without_limit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    bomb = zipped({"scan/region_segmentations/region0.ply": bytes(1 << 20)}, zipfile.ZIP_LZMA)
    put(tmp_path / "scan", "region_segmentations.zip", bomb)
    with pytest.raises(ValueError, match="stored or deflated, found compression method 14"):
        read_matterport(tmp_path / "scan")


@pytest.mark.skipif("laz" not in all_targets(), reason="laspy or lazrs is not installed (extra las)")
def test_laz_files_that_would_end_the_process_are_refused() -> None:
    first = all_targets()["laz"].samples
    layered = next(sample for sample in first if sample[25] == 4)
    (start,) = struct.unpack_from("<I", layered, 96)
    point = struct.unpack_from("<H", layered, 105)[0]
    record = layered.index(b"laszip encoded") + 52  # behind the header of the record
    lengths = start + 8 + point + 4
    for place, value, message in (
        (lengths, b"\xff\xff\xff\xff", "layers of"),
        (record + 12, b"\xff\xff\xff\x7f", "chunks of at most"),
        (record + 36, b"\xff\xff", "bytes for each point"),
        (record + 34, b"\x0b\x00", "the items of a point as LASzip names them, found [(11, 30)"),
    ):
        assert message in sentence("laz", layered[:place] + value + layered[place + len(value) :])


@pytest.mark.skipif("laz" not in all_targets(), reason="laspy or lazrs is not installed (extra las)")
def test_laz_files_with_a_damaged_table_of_chunks_are_refused() -> None:
    for content in all_targets()["laz"].samples:
        (start,) = struct.unpack_from("<I", content, 96)
        (table,) = struct.unpack_from("<q", content, start)
        panics = content[: table + 4] + struct.pack("<I", 50) + b"\xff" * 400
        assert "a whole LAS file, found damaged or truncated data (index out of bounds" in sentence("laz", panics)
        if content[25] < 4:
            empty = content[:107] + bytes(4) + content[111 : table + 4] + b"\x1b" * 400  # no points in many chunks
            assert "expected at least one point, found none" in sentence("laz", empty)


@pytest.mark.skipif("las" not in all_targets(), reason="laspy or lazrs is not installed (extra las)")
def test_further_records_of_las_files_take_no_memory() -> None:
    content = next(sample for sample in all_targets()["las"].samples if sample[25] == 4)
    header = content[:235] + struct.pack("<QI", len(content), 1) + content[247:]
    record = struct.pack("<2x16sHQ32x", b"hostile", 1, 1 << 62)
    with sandbox(all_targets()["las"]) as box:
        assert box.judge(header + record).outcome == "read"


@pytest.mark.skipif("e57" not in all_targets(), reason="pye57 is not installed (extra e57)")
def test_counts_of_e57_files_fit_the_file() -> None:
    target = all_targets()["e57"]
    with sandbox(target) as box:
        assert {box.judge(target.input(5, index)).fault for index in range(60)} == {""}


@pytest.mark.skipif("las" not in all_targets(), reason="laspy is not installed (extra las)")
def test_las_files_of_impossible_days_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.las"
    write_points(path, PointCloud(np.zeros((5, 3))))
    content = bytearray(path.read_bytes())
    struct.pack_into("<HH", content, 90, 65535, 9999)  # the day of the year, and the year
    assert "a whole LAS file" in sentence("las", bytes(content))


def test_colours_of_pcd_files_that_are_doubles_are_read_without_a_warning(tmp_path: Path) -> None:
    head = b"FIELDS x y z rgb\nSIZE 4 4 4 8\nTYPE F F F F\nWIDTH 1\nPOINTS 1\nDATA binary\n"
    path = put(tmp_path, "a.pcd", head + struct.pack("<fffd", 1, 2, 3, 1e300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_points(path).points.tolist() == [[1, 2, 3]]


def test_elements_of_ply_files_without_properties_may_have_any_number_of_rows(tmp_path: Path) -> None:
    head = f"ply\nformat binary_little_endian 1.0\nelement none {10**19}\nelement vertex 1\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    path = put(tmp_path, "a.ply", head.encode() + struct.pack("<3f", 1, 2, 3))
    assert read_points(path).points.tolist() == [[1, 2, 3]]


def test_huge_accessors_of_glb_files_without_a_buffer_view_take_no_memory() -> None:
    content = all_targets()["glb"].samples[0]
    length = int.from_bytes(content[12:16], "little")
    tree = json.loads(content[20 : 20 + length])
    for count in (1 << 31, 1e300):
        without = [{**each, "count": count} for each in tree["accessors"]]
        for each in without:
            each.pop("bufferView", None)
        text = json.dumps({**tree, "accessors": without}).encode()
        found = sentence("glb", content[:12] + struct.pack("<I", len(text)) + content[16:20] + text)
        assert "at most 4194304 values that are not in the file" in found
