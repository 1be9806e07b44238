"""One's own meshes as a data set: the truth of their queries, their place in the cube, their lists, and that it is read."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.convonet.dataset import ConvonetDataset, DrawSettings
from sparse_convonet.data.convonet.layout import read_split
from sparse_convonet.data.convonet.samples import read_occupancy, read_surface
from sparse_convonet.data.sets.mesh_set import MeshJob, Sampling, closed, in_unit_cube, make_mesh_set, mesh_jobs
from sparse_convonet.data.sets.shapenet import RawModel, find_raw_models
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.structures import Mesh

pytest.importorskip("igl", reason="libigl is not installed (extra data)")
SIZE = np.array([4.0, 2.0, 1.0])
SAMPLING = Sampling(points=2000, queries=3000, up="z", seed=3)


def boxes(folder: Path, count: int) -> list[MeshJob]:
    folder.mkdir()
    for number in range(count):
        box = trimesh.creation.box(SIZE, trimesh.transformations.translation_matrix([100, 200, 300 + number]))
        box.export(folder / f"box{number}.{('off', 'stl', 'obj', 'glb')[number % 4]}")
    return mesh_jobs(find_raw_models(folder), 0)


def test_queries_have_the_truth_of_the_box_in_the_unit_cube(tmp_path: Path) -> None:
    jobs = boxes(tmp_path / "crates", 4)
    assert make_mesh_set(jobs, tmp_path / "set", SAMPLING) == 4
    half = SIZE[[0, 2, 1]] / 8  # z up becomes y up, the longest side 1
    for number in range(4):
        model = tmp_path / "set" / "crates" / f"box{number}"
        surface = read_surface(model / "pointcloud.npz")
        points = surface.points_unit.astype(np.float64)
        assert len(surface) == 2000 and np.abs(np.abs(points) / half).max(axis=1) == pytest.approx(1, abs=2e-3)
        assert surface.normals is not None
        outward = np.einsum("nd,nd->n", surface.normals.astype(np.float64), points)
        assert outward.min() > 0.1  # of a box around the origin
        drawn = []
        for name in ("points", "points_iou"):
            queries = read_occupancy(model / f"{name}.npz")
            places = queries.points_unit.astype(np.float64)
            assert len(queries) == 3000 and np.abs(places).max() <= 0.5501
            beyond = (np.abs(places) - half).max(axis=1)
            clear = np.abs(beyond) > 1e-4  # of the surface, on which some rounded places lie
            assert np.array_equal(queries.occupied[clear], beyond[clear] < 0) and clear.mean() > 0.99
            drawn.append(places)
        assert not np.array_equal(drawn[0], drawn[1])


def test_a_run_is_taken_up_again_and_others_are_refused(tmp_path: Path) -> None:
    jobs, out = boxes(tmp_path / "crates", 3), tmp_path / "set"
    make_mesh_set(jobs, out, SAMPLING)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.npz"))}
    first = next(iter(before)).parent
    for path in first.iterdir():
        path.unlink()
    first.rmdir()
    assert make_mesh_set(jobs, out, SAMPLING) == 1
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.npz"))} == before
    with pytest.raises(ValueError, match="was begun with other settings"):
        make_mesh_set(jobs, out, Sampling(points=10, queries=10))


@pytest.mark.parametrize(("count", "train", "held"), [(3, 1, 1), (10, 8, 1), (40, 32, 4)])
def test_each_model_is_in_one_split_and_no_split_is_empty(count: int, train: int, held: int) -> None:
    models = [RawModel("things", f"m{number}", Path(f"m{number}.off")) for number in range(count)]
    splits = {
        split: [job.name for job in mesh_jobs(models, 0) if job.split == split] for split in ("train", "val", "test")
    }
    assert [len(names) for names in splits.values()] == [train, held, held]
    assert sorted(sum(splits.values(), [])) == sorted(model.name for model in models)


def test_of_fewer_models_than_splits_all_are_in_each(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with caplog.at_level(logging.WARNING):
        jobs = boxes(tmp_path / "crates", 1)
    assert "crates: 1 models, fewer than splits: all are in each of them" in caplog.text
    make_mesh_set(jobs, tmp_path / "set", SAMPLING)
    for split in ("train", "val", "test"):
        assert read_split(tmp_path / "set" / "crates" / f"{split}.lst") == ["box0"]


def test_the_set_is_read_as_the_papers_are(tmp_path: Path) -> None:
    make_mesh_set(boxes(tmp_path / "crates", 5), tmp_path / "set", SAMPLING)
    dataset = ConvonetDataset(tmp_path / "set", "train", DrawSettings(points=500, queries=400, noise=0.0))
    assert len(dataset) == 3
    sample = dataset[0]
    assert len(sample.points_unit) == 500 and len(sample.queries_unit) == 400
    assert 0 < sample.occupied.mean() < 1


def test_an_open_mesh_gets_the_closed_surface_around_it_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = trimesh.creation.box((1, 1, 1))
    mesh = Mesh(np.asarray(box.vertices), np.asarray(box.faces)[2:])
    with caplog.at_level(logging.WARNING):
        found = closed(in_unit_cube(mesh, "y"), tmp_path / "a.off").to_trimesh()
    assert found.is_watertight and np.abs(found.bounds).max() == pytest.approx(0.5)
    assert "a.off: not closed, so the closed surface around it is taken" in caplog.text


def test_meshes_that_are_inside_out_are_turned_and_seams_do_not_count(tmp_path: Path) -> None:
    box = trimesh.creation.box((1, 1, 1))
    faces = np.asarray(box.faces)[:, ::-1]
    soup = Mesh(np.asarray(box.vertices)[faces].reshape(-1, 3), np.arange(36).reshape(-1, 3))
    assert closed(soup, tmp_path / "a.off").to_trimesh().volume == pytest.approx(1)


def test_broken_meshes_are_refused_by_name(tmp_path: Path) -> None:
    jobs = boxes(tmp_path / "crates", 3)
    jobs[1].path.write_bytes(b"OFF\n1 0 0\n0 0 0\n")
    with pytest.raises(ValueError, match=f"{jobs[1].path.name}: expected a .* mesh"):
        make_mesh_set(jobs, tmp_path / "set", SAMPLING)
    with pytest.raises(ValueError, match="expected at least one point and query, found 0 and 5"):
        Sampling(points=0, queries=5)
    assert read_mesh(jobs[0].path)
