"""tools/reconstruct_building.py: what it writes, and one clear sentence for every bad input."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core.assembly import surface_blocks
from sparse_convonet.out_of_core.assembly.tiles3d import TILESET
from sparse_convonet.structures import PointCloud
from tests.oracles.tilesets import root_transform
from tests.synthetic_scan import room_points
from tests.tools.running import exit_code, refusal

TOOL = "reconstruct_building"


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.ply"
    write_points(path, PointCloud(room_points(8000)))
    return path


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder that holds a result already."""
    out = tmp_path / "out"
    out.mkdir()
    for name in ("mesh.ply", "preview.png", "report.json"):
        (out / name).write_bytes(b"earlier " + name.encode())
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_result_is_complete_and_replaced_only_when_asked(
    scan: Path, earlier: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    before = contents(earlier)
    assert "--overwrite" in refusal(capsys, TOOL, scan, "--out", earlier)
    assert contents(earlier) == before
    assert exit_code(TOOL, scan, "--out", earlier, "--voxel-size", 0.1, "--up", "z", "--overwrite") == 0
    said = caplog.text
    for word in ("read", "dropped", "up axis", "voxels", "expect", "coverage", "peak memory"):
        assert word in said
    assert (earlier / "preview.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((earlier / "report.json").read_text())
    assert report["input"]["points_read"] == report["input"]["points_used"] == 8000
    assert set(report["input"]["dropped"].values()) == {0}
    assert report["voxel_size_m"] == 0.1 and report["cell_size_m"] == 0.05
    assert [level["stride"] for level in report["levels"]] == [1, 2, 4, 8, 16]
    assert {"read", "encode", "mesh", "write", "total"} <= set(report["seconds"])
    assert (
        report["seconds"]["total"] >= sum(value for name, value in report["seconds"].items() if name != "total") - 0.1
    )
    mesh = read_mesh(earlier / "mesh.ply")
    assert (report["mesh"]["vertices"], report["mesh"]["faces"]) == (len(mesh.vertices), len(mesh.faces))
    assert report["mesh"]["watertight"] is True and report["mesh"]["components"] >= 1
    assert report["mesh"]["area_m2"] == pytest.approx(mesh.to_trimesh().area, rel=1e-3)
    assert 0.5 < report["coverage"]["within_1_cell"] <= report["coverage"]["within_1_voxel"] <= 1
    assert report["engine"] in ("native", "minkowski") and report["model"]["name"] == DEFAULT_MODEL
    assert report["peak_memory_bytes"] > 1e8 and "torch" in report["versions"]
    assert sorted(path.name for path in earlier.iterdir()) == ["mesh.glb", "mesh.ply", "preview.png", "report.json"]


def test_the_light_mesh_has_the_formats_and_the_error_that_are_asked_for(scan: Path, tmp_path: Path) -> None:
    """The scan is in millimetres, y up: so are mesh.ply and mesh.obj; mesh.glb is in metres, y up."""
    points, millimetres = room_points(8000), tmp_path / "mm.npz"
    write_points(millimetres, PointCloud(points[:, [0, 2, 1]] * [1, 1, -1] * 1000 + [5e6, 0, 0]))
    faces = []
    for error in ("5mm", "40mm"):
        out = tmp_path / error
        more = (
            "--voxel-size",
            0.12,
            "--up",
            "y",
            "--scale",
            0.001,
            "--formats",
            "OBJ, glb,ply",
            "--light-error",
            error,
        )
        assert exit_code(TOOL, millimetres, "--out", out, *more) == 0
        names = ["mesh.glb", "mesh.obj", "mesh.ply", "preview.png", "report.json"]
        assert sorted(path.name for path in out.iterdir()) == names
        report = json.loads((out / "report.json").read_text())["light_mesh"]
        full, obj, glb = (read_mesh(out / f"mesh.{suffix}") for suffix in ("ply", "obj", "glb"))
        assert len(obj.faces) == len(glb.faces) == report["faces"] < 0.3 * len(full.faces)
        np.testing.assert_allclose(glb.vertices.min(axis=0) * 1000, obj.vertices.min(axis=0), atol=1)
        np.testing.assert_allclose(obj.vertices.max(axis=0), full.vertices.max(axis=0), atol=150)
        assert report["within_95_m"] < 1.5 * report["allowed_error_m"] == pytest.approx(1.5 * float(error[:-2]) / 1000)
        faces.append(report["faces"])
    assert faces[1] < 0.7 * faces[0]
    assert exit_code(TOOL, scan, "--out", tmp_path / "none", "--voxel-size", 0.12, "--up", "z", "--formats", "ply") == 0
    assert not list((tmp_path / "none").glob("mesh.[!p]*"))
    assert json.loads((tmp_path / "none" / "report.json").read_text())["light_mesh"] is None


def test_the_page_shows_the_same_of_a_scan_in_memory_and_in_tiles(scan: Path, tmp_path: Path) -> None:
    pages = []
    for name, more in (("memory", ["--formats", "ply"]), ("disk", ["--work", tmp_path / "work"])):
        out = tmp_path / name
        assert exit_code(TOOL, scan, "--out", out, "--voxel-size", 0.12, "--up", "z", "--page", *more) == 0
        names = ["mesh.glb", "mesh.ply", "page.html", "preview.png", "report.json"]
        assert sorted(path.name for path in out.iterdir()) == names
        content = (out / "page.html").read_text(encoding="utf-8")
        report = json.loads((out / "report.json").read_text())
        assert f"{report['light_mesh']['faces']:,} faces" in content
        assert json.dumps(report["voxel_reason"]) in content
        pages.append(re.findall(r'<script type="text/plain" id="array-(\w+)">(.*?)</script>', content))
    assert [name for name, _ in pages[0]] == [
        "vertices",
        "faces",
        "distance",
        "observed",
        "expected_error",
        "points",
    ]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("more", [[], ["--simplify", 20_000]], ids=["full", "simplified"])
def test_3d_tiles_are_the_same_of_a_scan_in_memory_and_in_tiles(
    scan: Path, tmp_path: Path, more: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surface_blocks, "BLOCK_CELLS", 24)
    outs = tmp_path / "memory", tmp_path / "disk"
    for out, way in zip(outs, ([], ["--work", tmp_path / "work"]), strict=True):
        options = ["--voxel-size", 0.12, "--up", "z", "--formats", "ply", "--tiles", *more, *way]
        assert exit_code(TOOL, scan, "--out", out, *options) == 0
    found = [{path.name: path.read_bytes() for path in (out / "tiles").iterdir()} for out in outs]
    assert found[0] == found[1] and len(found[0]) > 10


def test_a_light_stl_far_from_the_origin_counts_from_a_place_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    far = tmp_path / "utm.npz"
    write_points(far, PointCloud(room_points(8000) + [5e5, 5.3e6, 0]))
    out = tmp_path / "out"
    assert exit_code(TOOL, far, "--out", out, "--voxel-size", 0.12, "--up", "z", "--formats", "obj,stl") == 0
    said = next(line for line in caplog.messages if line.startswith("mesh.stl counts from"))
    place = np.array([float(word) for word in re.findall(r"-?\d+", said)[:3]])
    assert (place[:2] > [499_900, 5_299_900]).all() and "partial" not in caplog.text
    stl, obj = (read_mesh(out / f"mesh.{suffix}") for suffix in ("stl", "obj"))
    np.testing.assert_allclose(stl.vertices.max(axis=0) + place, obj.vertices.max(axis=0), atol=1e-3)
    assert len(stl.vertices) == len(obj.vertices)


def test_several_inputs_are_joined_and_unusable_points_counted(tmp_path: Path, scan: Path) -> None:
    second = tmp_path / "second.npz"
    points = room_points(500, seed=1)
    points[:3] = [[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf]]
    np.savez(second, points=np.concatenate([points, points[-2:]]))
    assert exit_code(TOOL, scan, second, "--out", tmp_path / "out", "--voxel-size", 0.12, "--up", "z") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["input"]["points_read"] == 8502
    assert report["input"]["points_used"] == 8497
    assert report["input"]["dropped"]["not_finite"] == 3 and report["input"]["dropped"]["duplicates"] == 2


def bad_inputs() -> dict[str, tuple[str, bytes | np.ndarray, str]]:
    """Name -> (file name, content, a piece of the sentence)."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 4000, dtype=np.uint8).tobytes()
    rows = b"".join(b"%.3f %.3f %.3f\n" % tuple(point) for point in room_points(200))
    return {
        "empty file": ("empty.ply", b"", "empty"),
        "no point cloud": ("noise.ply", noise, "noise.ply"),
        "no las": ("noise.las", noise, "noise.las"),
        "no pcd": ("noise.pcd", noise, "noise.pcd"),
        "unknown suffix": ("scan.docx", noise, "docx"),
        "broken line": ("broken.xyz", rows + b"1.0 two 3.0\n" + rows, "line 201"),
        "three points": ("three.xyz", b"0 0 0\n1 0 0\n0 1 0\n", "found 3"),
        "all equal": ("equal.xyz", b"1 2 3\n" * 500, "same"),
        "all nan": ("nan.npz", np.full((500, 3), np.nan), "found 0 of 500"),
        "millimetres": ("mm.npz", room_points(5000) * 4000, "--scale 0.001"),
    }


@pytest.mark.parametrize("case", bad_inputs())
def test_bad_input_is_one_sentence_and_nothing_is_touched(
    case: str, tmp_path: Path, earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, text = bad_inputs()[case]
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, points=content)
    before = contents(earlier)
    sentence = refusal(capsys, TOOL, path, "--out", earlier, "--overwrite")
    assert text in sentence, sentence
    assert contents(earlier) == before


def test_missing_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.laz" in refusal(capsys, TOOL, tmp_path / "nowhere.laz", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--voxel-size", "0"), "voxel size"),
        (("--voxel-size", "nan"), "voxel size"),
        (("--voxel-size", "0.05", "--cell-size", "0.2"), "cell size"),
        (("--tau", "2"), "tau"),
        (("--simplify", "abc"), "--simplify"),
        (("--formats", "ply,gltf"), "--formats: expected ply, glb, obj, stl, usd, found 'gltf'"),
        (("--formats", ""), "--formats: expected ply, glb, obj, stl, usd, found ''"),
        (("--light-error", "thin"), "--light-error: expected an error in mm (5mm), found 'thin'"),
        (("--light-error", "0mm"), "--light-error: expected a distance above 0, found 0 mm"),
        (("--threads", "0"), "--threads"),
        (("--scale", "-1"), "scale: expected a positive number"),
        (("--scale", "0"), "scale: expected a positive number"),
        (("--scale", "nan"), "scale: expected a positive number"),
        (("--device", "gpu"), "--device: expected auto, cpu, cuda or cuda:NUMBER, found 'gpu'"),
        (("--columns", "x,y"), "--columns: expected"),
        (("--model", "castle"), "castle"),
    ],
)
def test_bad_options_are_one_sentence(
    arguments: tuple[str, ...], text: str, scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refusal(capsys, TOOL, scan, "--out", tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way_of_the_folder_is_named(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("precious")
    assert "out" in refusal(capsys, TOOL, scan, "--out", tmp_path / "out", "--voxel-size", "0.12")
    assert (tmp_path / "out").read_text() == "precious"


def test_a_full_disk_leaves_the_earlier_result_and_no_rubbish(
    scan: Path, earlier: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = contents(earlier)
    monkeypatch.setattr("sparse_convonet.runtime.atomic.os.fsync", full)
    sentence = refusal(capsys, TOOL, scan, "--out", earlier, "--overwrite", "--voxel-size", "0.12", "--up", "z")
    assert "disk full" in sentence and "mesh.ply" in sentence
    assert contents(earlier) == before


def test_more_memory_than_there_is_is_refused_before_any_work(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparse_convonet.plan.plan.available_memory_bytes", lambda: 300_000_000)
    said = refusal(capsys, TOOL, scan, "--out", tmp_path / "out", "--up", "z")
    assert "which take the least, found 0.27 GB available; free some, or use a machine with more" in said
    assert not (tmp_path / "out").exists()


def test_the_coordinate_system_stands_beside_the_mesh_and_nothing_of_an_earlier_run_stays(
    scan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyproj", reason="pyproj is not installed (extra las)")
    out, options = tmp_path / "out", ("--voxel-size", 0.12, "--up", "z", "--overwrite")
    system = ("--crs", "EPSG:25832")
    assert exit_code(TOOL, scan, "--out", out, *options, *system, "--tiles") == 0
    assert (out / "mesh.prj").read_text().startswith('PROJCS["ETRS_1989_UTM_Zone_32N"')
    assert json.loads((out / "report.json").read_text())["input"]["crs"]["name"] == "ETRS89 / UTM zone 32N"
    assert np.linalg.norm(root_transform(out / "tiles" / TILESET)[:3, 3]) == pytest.approx(6.37e6, rel=0.01)
    for more in (("--crs", "my garden"), ("--crs", "EPSG:2992", "--scale", "1")):  # the second is in feet
        assert exit_code(TOOL, scan, "--out", out, *options, *more) == 2
    assert (out / "tiles").is_dir()
    assert exit_code(TOOL, scan, "--out", out, *options, *system, "--up", "y", "--formats", "ply") == 0
    assert "y points up in the scan, so x and y are not those of ETRS89" in caplog.text
    assert sorted(path.name for path in out.iterdir()) == ["mesh.ply", "preview.png", "report.json"]


def test_a_system_in_feet_gives_the_scale(scan: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyproj", reason="pyproj is not installed (extra las)")
    feet, out = tmp_path / "feet.npz", tmp_path / "out"
    write_points(feet, PointCloud(room_points(8000) / 0.3048))
    assert (
        exit_code(TOOL, feet, "--out", out, "--voxel-size", 0.12, "--up", "z", "--crs", "EPSG:2992", "--formats", "ply")
        == 0
    )
    assert json.loads((out / "report.json").read_text())["input"]["scale"] == pytest.approx(0.3048)
