"""Soups become closed surfaces: analytic sizes, nothing of the soup outside, resumed and refused runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.sets.shapenet import RawModel
from sparse_convonet.data.sets.watertight import FARTHEST_CELLS, RECIPE_FILE, Wrapped, make_watertight, wrap
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.mesh.winding import winding_numbers
from sparse_convonet.structures import Mesh
from tests.oracles.nearest import distance_to_mesh

pytest.importorskip("igl", reason="libigl is not installed (extra data)")


def box(size: tuple[float, float, float] = (1.0, 0.5, 0.25)) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.box(size)
    return np.array(mesh.vertices), np.array(mesh.faces)


def crumbs(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small triangles of any orientation strewn in the unit cube."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 1, (count, 1, 3)) + rng.normal(0, 0.05, (count, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def assert_closed_outward(mesh: Mesh) -> None:
    surface = mesh.to_trimesh()
    assert surface.is_watertight and surface.is_winding_consistent
    assert all(part.volume > 0 for part in surface.split())


def random_points_on(vertices: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(3), count)
    return np.einsum("qk,qkd->qd", weights, vertices[faces[rng.integers(len(faces), size=count)]])


@pytest.mark.parametrize("resolution", [16, 33])
@pytest.mark.parametrize("place", [0.0, 1e5])
def test_a_box_grows_by_one_cell_on_every_side_and_stays_where_it_is(resolution, place):
    vertices, faces = box()
    cell = 1.0 / resolution
    wrapped = wrap(vertices + place, faces, resolution)
    assert_closed_outward(wrapped.mesh)
    grown = np.array([[-0.5, -0.25, -0.125], [0.5, 0.25, 0.125]]) + [[-cell], [cell]] + place
    np.testing.assert_allclose(wrapped.mesh.to_trimesh().bounds, grown, atol=0.01 * cell + 1e-10 * place)
    assert wrapped.farthest == pytest.approx(cell, rel=0.01)


@pytest.mark.parametrize("soup", ["crumbs", "chair", "slivers"])
def test_the_surface_is_closed_holds_all_of_the_soup_and_is_near_it(soup):
    if soup == "chair":
        parts = [trimesh.creation.box((1, 0.05, 1)).apply_translation((0, 0.5, 0))]
        parts += [
            trimesh.creation.cylinder(0.01, segment=((x, 0, z), (x, 0.5, z))) for x in (-0.4, 0.4) for z in (0, 1)
        ]
        whole = trimesh.util.concatenate(parts)
        vertices, faces = np.array(whole.vertices), np.array(whole.faces)[::2]  # every other face is missing
    else:
        vertices, faces = crumbs()
        if soup == "slivers":
            vertices = vertices.reshape(-1, 3, 3).copy()
            share, height = np.random.default_rng(1).random((40, 1)), 10.0 ** -np.arange(2, 22, 0.5)[:, None]
            vertices[:, 2] = share * vertices[:, 0] + (1 - share) * vertices[:, 1] + height * [[0.6, 0.8, 0.0]]
            vertices = vertices.reshape(-1, 3)
    wrapped = wrap(vertices, faces, 40)
    assert_closed_outward(wrapped.mesh)
    inside = winding_numbers(wrapped.mesh.vertices, wrapped.mesh.faces, random_points_on(vertices, faces, 2000))
    assert (inside > 0.5).all()
    cell = np.ptp(vertices[faces].reshape(-1, 3), axis=0).max() / 40
    some = wrapped.mesh.vertices[:: len(wrapped.mesh.vertices) // 20]
    distances = np.array([distance_to_mesh(point, vertices, faces) for point in some])
    assert (distances > 0.4 * cell).all() and (distances <= wrapped.farthest * (1 + 1e-6)).all()
    assert cell < wrapped.farthest <= FARTHEST_CELLS * cell


def test_a_sheet_becomes_a_plate_and_a_line_a_rod():
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
    plate = wrap(*square, 32).mesh.to_trimesh()
    np.testing.assert_allclose(plate.bounds[:, 2], [-1 / 32, 1 / 32], rtol=0.01)
    corner_places = np.array([[0.0, 0, 0], [1.0, 2.0, 3.0], [0.5, 1.0, 1.5]])  # in one line
    rods = [wrap(corner_places, np.array([order]), 32).mesh for order in ([0, 1, 2], [0, 2, 1], [2, 0, 1], [0, 1, 1])]
    for rod in rods:
        assert_closed_outward(rod)
        assert rod.to_trimesh().body_count == 1
        np.testing.assert_allclose(rod.vertices, rods[0].vertices, atol=1e-6)


def test_what_is_enclosed_is_solid_and_what_stands_apart_is_kept():
    vertices, faces = box((1.0, 1.0, 1.0))
    hollow = np.concatenate([vertices, vertices * 0.8]), np.concatenate([faces, faces[:, ::-1] + len(vertices)])
    np.testing.assert_array_equal(wrap(*hollow, 32).mesh.vertices, wrap(vertices, faces, 32).mesh.vertices)
    apart = np.concatenate([vertices, vertices * 0.2 + [1.0, 0, 0]]), np.concatenate([faces, faces + len(vertices)])
    assert wrap(*apart, 32).mesh.to_trimesh().body_count == 2


@pytest.mark.parametrize(("width_cells", "solid"), [(1.0, True), (4.0, False)])
def test_gaps_are_closed_up_to_two_cells(width_cells, solid):
    gap = width_cells / 40
    corners = np.array([[0, 0], [0.5 - gap / 2, 0], [0.5 - gap / 2, 1], [0, 1]])
    vertices, faces = box((1.0, 1.0, 1.0))
    vertices = vertices + 0.5
    walls = faces[vertices[faces].mean(axis=1)[:, 2] > 0.01]  # all but the side z = 0, which gets a slit
    halves = [np.c_[corners, np.zeros(4)], np.c_[[1, 0] + corners * [-1, 1], np.zeros(4)]]
    square = np.array([[0, 1, 2], [0, 2, 3]])
    slit = np.concatenate([vertices, *halves]), np.concatenate([walls, square + 8, square + 12])
    wrapped: Wrapped = wrap(*slit, 40)
    assert_closed_outward(wrapped.mesh)
    middle = winding_numbers(wrapped.mesh.vertices, wrapped.mesh.faces, np.array([[0.5, 0.5, 0.5]]))[0]
    assert middle == pytest.approx(1.0 if solid else 0.0, abs=1e-3)


def test_wrapping_is_deterministic_and_blind_to_the_faces_orientation():
    vertices, faces = crumbs()
    first, again, turned = wrap(vertices, faces, 24), wrap(vertices, faces, 24), wrap(vertices, faces[:, ::-1], 24)
    assert np.array_equal(first.mesh.vertices, again.mesh.vertices)
    assert np.array_equal(first.mesh.faces, again.mesh.faces)
    np.testing.assert_allclose(first.mesh.vertices, turned.mesh.vertices, atol=1e-6)


@pytest.mark.parametrize(
    ("soup", "resolution", "sentence"),
    [
        ((np.zeros((3, 3)), np.zeros((0, 3), dtype=int)), 32, "expected a mesh with faces, found none"),
        ((np.full((3, 3), np.nan), np.array([[0, 1, 2]])), 32, "expected vertices that are finite numbers"),
        ((np.ones((3, 3)), np.array([[0, 1, 2]])), 32, "expected a mesh with an extent"),
        (box(), 8, "resolution: expected 16 to 512, found 8"),
    ],
)
def test_what_has_no_surface_around_it_is_refused(soup, resolution, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrap(*soup, resolution)


def test_without_libigl_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "igl", None)
    sentence = r"needs the package igl.*pip install 'libigl>="
    with pytest.raises(ValueError, match=sentence):
        wrap(*box(), 16)
    with pytest.raises(ValueError, match=sentence):
        make_watertight(raw_models(tmp_path / "raw"), tmp_path / "out", skip_broken=True)
    assert not (tmp_path / "out").exists()


def raw_models(folder: Path, count: int = 3, broken: tuple[int, ...] = ()) -> list[RawModel]:
    folder.mkdir()
    for number in range(count):
        path = folder / f"m{number}.obj"
        if number in broken:
            path.write_text("v 0 0 zero\nf 1 1 1\n")
        else:
            write_mesh(path, Mesh(*box((1.0, 0.5, 0.2 + 0.1 * number))))
    return [RawModel("shapes", f"m{number}", folder / f"m{number}.obj") for number in range(count)]


def test_a_run_writes_closed_models_in_their_own_frame_and_is_taken_up_again(tmp_path):
    models, counts = raw_models(tmp_path / "raw"), []
    out = tmp_path / "out"
    outcome = make_watertight(models[:2], out, resolution=16, finished=counts.append)
    assert list(outcome.written) == ["shapes/m0", "shapes/m1"] and outcome.kept == 0
    files = sorted((out / "shapes" / "2_watertight").iterdir())
    assert [file.name for file in files] == ["m0.off", "m1.off"]
    mesh = read_mesh(files[0])
    assert_closed_outward(mesh)
    np.testing.assert_allclose(mesh.to_trimesh().bounds[:, 1], [-0.25 - 1 / 16, 0.25 + 1 / 16], atol=1e-3)
    before = [file.stat().st_mtime_ns for file in files]
    (files[0].parent / ".m2.12345678.partial.off").write_text("what a killed run leaves")
    outcome = make_watertight(models, out, resolution=16, finished=counts.append)
    assert list(outcome.written) == ["shapes/m2"] and outcome.kept == 2
    assert [file.stat().st_mtime_ns for file in files] == before
    assert sorted(file.name for file in files[0].parent.iterdir()) == ["m0.off", "m1.off", "m2.off"]
    assert counts == [0, 1, 1, 2, 1]
    assert outcome.lines()[0] == "1 models written, 2 were there"


@pytest.mark.slow
def test_workers_write_the_same_files(tmp_path):
    models = raw_models(tmp_path / "raw", broken=(1,))
    for workers in (1, 2):
        outcome = make_watertight(models, tmp_path / str(workers), resolution=16, workers=workers, skip_broken=True)
        assert list(outcome.written) == ["shapes/m0", "shapes/m2"] and list(outcome.broken) == ["shapes/m1"]
    one, two = (tmp_path / str(workers) / "shapes" / "2_watertight" for workers in (1, 2))
    for name in ("m0.off", "m2.off"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_a_broken_model_stops_the_run_or_is_named(tmp_path):
    models = raw_models(tmp_path / "raw", broken=(1,))
    with pytest.raises(ValueError, match=r"m1\.obj: expected .*; or leave such models out with --skip-broken"):
        make_watertight(models, tmp_path / "out", resolution=16)
    outcome = make_watertight(models, tmp_path / "out", resolution=16, skip_broken=True)
    assert (list(outcome.written), outcome.kept) == (["shapes/m2"], 1)
    assert outcome.lines()[-1] == "1 broken models left out: shapes/m1"
    assert str(models[1].path) in outcome.broken["shapes/m1"]


def test_a_folder_begun_with_another_resolution_is_refused_unless_overwritten(tmp_path):
    models, out = raw_models(tmp_path / "raw", 1), tmp_path / "out"
    make_watertight(models, out, resolution=16)
    with pytest.raises(ValueError, match="was begun with other settings"):
        make_watertight(models, out, resolution=20)
    coarse = (out / "shapes" / "2_watertight" / "m0.off").read_bytes()
    assert list(make_watertight(models, out, resolution=20, overwrite=True).written) == ["shapes/m0"]
    assert (out / "shapes" / "2_watertight" / "m0.off").read_bytes() != coarse
    assert json.loads((out / RECIPE_FILE).read_text())["resolution"] == 20


def test_models_of_two_resolutions_are_never_taken_for_those_of_one(tmp_path):
    models, out = raw_models(tmp_path / "raw", 2), tmp_path / "out"
    make_watertight(models, out, resolution=16)

    def stop(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_watertight(models, out, resolution=20, overwrite=True, finished=stop)
    for resolution in (16, 20):
        with pytest.raises(
            ValueError, match="a run with --overwrite was stopped, .*; add --overwrite, or name another"
        ):
            make_watertight(models, out, resolution=resolution)
    make_watertight(models, out, resolution=20, overwrite=True)
    with pytest.raises(KeyboardInterrupt):  # the same again: whichever models were made, they are of this resolution
        make_watertight(models, out, resolution=20, overwrite=True, finished=stop)
    assert make_watertight(models, out, resolution=20).kept == 2


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(ValueError, match="workers: expected at least 1, found 0"):
        make_watertight([], tmp_path, workers=0)
