"""ShapeNet's folders, raw and watertight, with tiny boxes in place of its models."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.sets.paper_rooms import make_paper_room, room_queries, sample_room_occupancy
from sparse_convonet.data.sets.shape_stock import CLASSES, ShapeStock
from sparse_convonet.data.sets.shapenet import WatertightShapes, find_raw_models
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.structures import Mesh

CHAIR, TABLE = "03001627", "04379243"


def write_box(path: Path, size: tuple[float, float, float] = (0.4, 0.8, 0.2)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    box = trimesh.creation.box(size)
    write_mesh(path, Mesh(np.array(box.vertices), np.array(box.faces)))
    return path


def write_shapes(root: Path, synset: str = CHAIR, names: tuple[str, ...] = ("b", "a", "c")) -> Path:
    """Boxes, all on the list train in the order given."""
    for name in names:
        write_box(root / synset / "2_watertight" / f"{name}.off")
    (root / synset / "train.lst").write_text("\n".join(names))
    return root


def titles(root: Path, *classes: str) -> list[str]:
    return [model.title for model in find_raw_models(root, classes)]


def test_raw_models_of_both_versions_and_plain_folders_are_found_in_order(tmp_path):
    first = write_box(tmp_path / CHAIR / "b" / "models" / "model_normalized.obj")
    second = write_box(tmp_path / CHAIR / "a" / "model.obj")
    third = write_box(tmp_path / TABLE / "plain.ply")
    (tmp_path / CHAIR / ".hidden").mkdir()
    (tmp_path / CHAIR / "taxonomy.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "taxonomy.json").write_text("{}")
    models = find_raw_models(tmp_path)
    assert [model.title for model in models] == [f"{CHAIR}/a", f"{CHAIR}/b", f"{TABLE}/plain"]
    assert [model.path for model in models] == [second, first, third]
    assert titles(tmp_path, "table") == titles(tmp_path, TABLE) == [f"{TABLE}/plain"]
    assert titles(tmp_path / CHAIR) == [f"{CHAIR}/a", f"{CHAIR}/b"]
    assert titles(tmp_path / TABLE) == [f"{TABLE}/plain"]


def test_a_model_folder_without_its_file_is_listed_to_be_counted_as_broken(tmp_path):
    write_box(tmp_path / CHAIR / "a" / "model.obj")
    (tmp_path / CHAIR / "empty" / "images").mkdir(parents=True)
    assert titles(tmp_path) == [f"{CHAIR}/a", f"{CHAIR}/empty"]
    assert not find_raw_models(tmp_path)[1].path.exists()


def test_raw_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a folder of models, found none"):
        find_raw_models(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"expected models \(<class>/<name>/models/model_normalized\.obj or .*found none"
    ):
        find_raw_models(tmp_path)
    write_box(tmp_path / CHAIR / "a.obj")
    with pytest.raises(ValueError, match=f"expected classes of {CHAIR}, found lamp asked for"):
        find_raw_models(tmp_path, ("chair", "lamp"))
    write_box(tmp_path / CHAIR / "a.off")
    with pytest.raises(ValueError, match=r"a\.off: expected one file per model, found .*a\.obj too"):
        find_raw_models(tmp_path)


def test_names_keep_the_order_of_the_list_and_shapes_their_frame(tmp_path):
    shapes = WatertightShapes(write_shapes(tmp_path))
    assert shapes.names(CHAIR, "train") == ("b", "a", "c")
    vertices, faces = shapes.load(CHAIR, "a")
    assert vertices.dtype == np.float64 and faces.dtype == np.int64 and faces.shape == (12, 3)
    np.testing.assert_array_equal([vertices.min(axis=0), vertices.max(axis=0)], [[-0.2, -0.4, -0.1], [0.2, 0.4, 0.1]])


def test_lists_may_lie_in_another_folder(tmp_path):
    write_shapes(tmp_path / "shapes")
    (tmp_path / "lists" / CHAIR).mkdir(parents=True)
    (tmp_path / "lists" / CHAIR / "test.lst").write_text("c\n")
    assert WatertightShapes(tmp_path / "shapes", tmp_path / "lists").names(CHAIR, "test") == ("c",)


def test_missing_files_are_refused_or_left_out_and_counted(tmp_path, caplog):
    root = write_shapes(tmp_path)
    (root / CHAIR / "2_watertight" / "a.off").unlink()
    with pytest.raises(ValueError, match=r"expected 3 watertight models in .*found no a\.off and 0 others missing"):
        WatertightShapes(root).names(CHAIR, "train")
    shapes = WatertightShapes(root, skip_broken=True)
    with caplog.at_level(logging.WARNING):
        assert shapes.names(CHAIR, "train") == shapes.names(CHAIR, "train") == ("b", "c")
    assert shapes.skipped == {(CHAIR, "train"): 1}
    assert [record.message for record in caplog.records] == [
        f"{CHAIR} (chair), train: 1 of 3 models are missing and left out"
    ]


def test_what_is_not_there_is_an_error_that_says_so(tmp_path):
    with pytest.raises(ValueError, match="expected the folder of watertight models, found none"):
        WatertightShapes(tmp_path / "nowhere")
    shapes = WatertightShapes(write_shapes(tmp_path), skip_broken=True)
    with pytest.raises(ValueError, match="expected the list of a split, found train.lst"):
        shapes.names(CHAIR, "val")
    with pytest.raises(FileNotFoundError, match="d.off does not exist"):
        shapes.load(CHAIR, "d")
    (tmp_path / CHAIR / "val.lst").write_text("d")
    with pytest.raises(ValueError, match=r"expected at least one model of 03001627 \(chair\), found none"):
        shapes.names(CHAIR, "val")
    (tmp_path / CHAIR / "test.lst").write_text("../a")
    with pytest.raises(ValueError, match="expected names of folders beside it"):
        shapes.names(CHAIR, "test")


def test_rooms_of_the_papers_are_furnished_with_watertight_shapes(tmp_path):
    pytest.importorskip("igl", reason="libigl is not installed (extra data)")
    for synset in CLASSES:
        write_shapes(tmp_path, synset)
    stock: ShapeStock = WatertightShapes(tmp_path)
    room = make_paper_room(4, stock, "train", np.random.default_rng(0))
    queries = room_queries(20_000, np.random.default_rng(1))
    samples = sample_room_occupancy(room, queries)
    for placed in room.objects:
        turn = np.array([[np.cos(placed.angle), 0, np.sin(placed.angle)], [0, 1, 0], [-np.sin(placed.angle), 0, np.cos(placed.angle)]])  # fmt: skip  # noqa: E501
        own = (queries - placed.shift) @ turn / placed.scale
        distance = (np.abs(own) - [0.2, 0.4, 0.1]).max(axis=1)
        clear = np.abs(distance) > 1e-4
        assert (distance < 0).any()
        assert np.array_equal(placed.contains(queries[clear]), distance[clear] < 0)
        assert samples.occupied[distance < -1e-4].all()
