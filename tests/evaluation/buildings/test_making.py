"""The benchmark of buildings as it is made: what scans there are, how dense they are, and that a stopped run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.data.buildings.building import BuildingSettings
from sparse_convonet.evaluation.buildings import making
from sparse_convonet.evaluation.buildings.making import describe_set, make_set, seen_area_m2
from sparse_convonet.evaluation.buildings.protocol import KINDS, NOISE_M, PER_M2, BuildingSet, scans_of
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import Mesh, PointCloud
from tests.evaluation.buildings.small_sets import AREA_M2, make_few_points, room_file, room_set
from tests.evaluation.buildings.small_sets import PER_M2 as FEW


def test_nine_buildings_in_a_row_have_every_density_with_every_noise() -> None:
    found = [scan for number in range(9) for scan in scans_of(f"b{number}", number, "some")]
    assert len(found) == 27
    pairs = [(scan.per_m2, scan.noise_m) for scan in found]
    assert all(pairs.count((per_m2, noise_m)) == 3 for per_m2 in PER_M2 for noise_m in NOISE_M)
    for number in range(9):
        assert {scan.kind for scan in found if scan.building == f"b{number}"} == set(KINDS)


def test_all_scans_are_eighteen_of_different_names() -> None:
    found = list(scans_of("b", 3, "all"))
    assert len({scan.name for scan in found}) == len(found) == 18
    assert "walk_1000_10mm" in {scan.name for scan in found} and found[0].file == f"b/{found[0].name}.npz"


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 1, 0), (1, 2, 3)], ids=str)
def test_the_area_is_that_of_a_plane_however_it_lies(normal: tuple[int, int, int], rng: np.random.Generator) -> None:
    across = np.array(normal) / np.linalg.norm(normal)
    first = np.cross(across, (0.3, -0.5, 0.8))
    first /= np.linalg.norm(first)
    points = rng.uniform(0, 6, (400_000, 2)) @ np.stack([first, np.cross(across, first)]) + (0.03, 0.04, 0.05)
    cloud = PointCloud(points, normals=np.tile(across, (len(points), 1)).astype(np.float32))
    # Cells that the border of the plane cuts count whole; corners of cells too small for a point are missed.
    assert seen_area_m2(cloud, 0.1) == pytest.approx(36, rel=0.1)


def test_the_area_of_a_floor_at_a_round_height_counts_once(rng: np.random.Generator) -> None:
    points = np.column_stack([rng.uniform(0, 4, (100_000, 2)), rng.normal(0, 1e-15, 100_000)])
    cloud = PointCloud(points, normals=np.tile((0.0, 0.0, 1.0), (len(points), 1)).astype(np.float32))
    assert seen_area_m2(cloud, 0.1) == pytest.approx(16, rel=0.06)


def test_scans_have_the_points_of_their_density_and_say_where_the_scanner_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = room_set(tmp_path, monkeypatch)
    assert describe_set(made) == "1 buildings (0 generated), 3 scans" and BuildingSet.load(folder) == made
    stations = np.load(folder / "room" / "stations.npy")
    assert ((stations > 0) & (stations < (4.0, 5.0, 2.7))).all()
    for scan, per_m2 in zip(made.scans, FEW, strict=True):
        cloud = read_points(folder / scan.file)
        assert len(cloud) == pytest.approx(per_m2 * AREA_M2, rel=0.1)
        assert cloud.normals is not None and cloud.scanners is not None
        towards = cloud.scanners - cloud.points
        assert (np.einsum("ij,ij->i", towards, cloud.normals) > 0).mean() > 0.99
        if scan.kind == "stations":
            assert len(np.unique(cloud.scanners.round(1), axis=0)) <= 2 * len(stations)
        # Outliers and what a beam mixes at edges apart, points are as far from the room as the noise says.
        off = np.abs(cloud.points[:, 2] - np.array([0.0, 2.7])[:, None]).min(axis=0)
        assert scan.noise_m / 4 < np.median(off[off < 0.1]) < scan.noise_m + 0.005


def test_a_second_call_goes_on_and_other_buildings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = room_set(tmp_path, monkeypatch)
    files = [folder / scan.file for scan in made.scans]
    before = [path.read_bytes() for path in files]
    kept = files[0].stat().st_mtime_ns
    files[1].unlink()  # as if the run had been stopped before it
    assert make_set(folder, 0, [tmp_path / "room.ply"], "some", lambda _: None) == made
    assert [path.read_bytes() for path in files] == before and files[0].stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="holds a set of other buildings or scans; name another --out"):
        make_set(folder, 0, [tmp_path / "room.ply"], "all", lambda _: None)


def test_meshes_that_cannot_be_scanned_are_refused_by_name_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_few_points(monkeypatch)
    good = room_file(tmp_path)
    mesh = read_mesh(good)
    vertices = mesh.vertices.copy()
    vertices[0] = np.nan
    write_mesh(tmp_path / "broken.ply", Mesh(vertices, mesh.faces))
    write_mesh(tmp_path / "millimetres.ply", Mesh(1000 * mesh.vertices, mesh.faces))
    folder = tmp_path / "set"
    for name, said in (("broken", "expected finite vertices, found 1 of"), ("millimetres", "expected metres")):
        with pytest.raises(ValueError, match=rf"{name}\.ply: .*{said}"):
            make_set(folder, 0, [good, tmp_path / f"{name}.ply"], "some", lambda _: None)
        assert not folder.exists() or not any(folder.iterdir())


def test_a_set_without_a_scan_gives_way_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, made = room_set(tmp_path, monkeypatch)
    for scan in made.scans:
        (folder / scan.file).unlink()
    (tmp_path / "room.ply").rename(tmp_path / "hall.ply")
    assert list(make_set(folder, 0, [tmp_path / "hall.ply"], "some", lambda _: None).source) == ["hall"]


def test_two_meshes_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [room_file(tmp_path), room_file(tmp_path / "other")]
    with pytest.raises(ValueError, match="expected different names, found room twice"):
        make_set(tmp_path / "set", 0, paths, "some", lambda _: None)


def test_a_generated_building_has_surface_that_nobody_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_few_points(monkeypatch)
    small = BuildingSettings(storeys=(1, 1), footprint_m=(6.0, 6.5), hall_share=0.0, density=(0.2, 0.4))
    monkeypatch.setattr(making, "_GENERATED", small)
    made = make_set(tmp_path, 1, [], "some", lambda _: None)
    assert list(made.source) == ["generated_00"] and isinstance(made.source["generated_00"], int)
    hidden = np.load(tmp_path / "generated_00" / "hidden.npy")
    assert hidden.dtype == np.float32 and len(hidden) > 500
    seen = read_points(tmp_path / made.scans[0].file).points
    low, high = seen.min(axis=0) - 0.6, seen.max(axis=0) + 0.6
    assert ((hidden > low) & (hidden < high)).all()
