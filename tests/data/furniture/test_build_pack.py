"""Making a pack: which models are kept, how they are split, and libraries and folders that are broken or hostile."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.furniture.build_pack import attribution, build_pack
from sparse_convonet.data.furniture.kinds import kind_of, placement_of, reason_left_out
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.furniture.pack import write_pack
from sparse_convonet.data.furniture.splits import group_variants, split_of
from sparse_convonet.data.furniture.sweethome3d import CATALOGUE, SweetHomeLibrary, parse_properties


def test_variants_by_name_or_by_shape_are_one_group():
    cube, bar = np.ones((10, 10, 10), dtype=bool), np.ones((10, 10, 10), dtype=bool)
    bar[:, 4:] = False
    keys = ["a/chair", "a/chair", "a/table", "b/cube"]
    sizes = np.array([[1.0, 1, 1], [2, 2, 2], [1.02, 1, 1], [3, 3, 3]])
    groups = group_variants(keys, [cube, bar, cube, cube], sizes)
    assert groups == ["a/chair", "a/chair", "a/chair", "b/cube"]


def test_splits_are_stable_and_about_eight_to_one_to_one():
    counts = {name: 0 for name in ("train", "val", "test")}
    for number in range(4000):
        counts[split_of(f"group {number}")] += 1
    assert abs(counts["train"] - 3200) < 150 and abs(counts["val"] - 400) < 80 and abs(counts["test"] - 400) < 80
    assert [split_of(name) for name in ("a/chair", "b/cube", "Scopia/sofa")] == ["train", "train", "val"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Oak chair", "chair"),
        ("Bedside table", "table"),
        ("Desk lamp", "lamp"),
        ("Child bed", "bed"),
        ("Bread", "small"),
        ("Plant box", "plant"),
        ("Workbench", "desk"),
        ("Sofa 2 seats", "sofa"),
        ("Lower corner cabinet", "kitchen"),
        ("Filing cabinet", "storage"),
        ("Coffee table", "table"),
        ("Coffee cup", "small"),
    ],
)
def test_kinds_follow_the_names(name, kind):
    assert kind_of(name) == kind


def test_placements_follow_elevation_and_size():
    assert placement_of("Lamp", "lamp", np.array([0.5, 0.5, 0.6]), 1.9) == "ceiling"
    assert placement_of("Upper cabinet", "kitchen", np.array([0.6, 0.4, 0.7]), 1.45) == "wall"
    assert placement_of("Vase", "small", np.array([0.2, 0.2, 0.3]), 0.0) == "top"
    assert placement_of("Stool", "chair", np.array([0.3, 0.3, 0.4]), 0.0) == "floor"
    assert reason_left_out("Door", "Doors and windows") == "part of the building"
    assert reason_left_out("Cafe chair", "Exterior") is None
    assert reason_left_out("Palm tree", "Exterior") == "outdoor or vehicle"


# --- reading libraries and folders


def write_library(path: Path, catalogue: str, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(CATALOGUE, catalogue.encode("iso-8859-1"))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def sofa_obj() -> bytes:
    """A seat with a back at -z, as Sweet Home 3D has it; y up, in units that the catalogue overrides."""
    seat = trimesh.creation.box((2, 1, 2)).apply_translation((0, 0.5, 0))
    back = trimesh.creation.box((2, 1, 0.5)).apply_translation((0, 1.5, -0.75))
    text = trimesh.util.concatenate([seat, back]).export(file_type="obj")
    return str(text).encode()


CATALOGUE_TEXT = """# header
# Copyright (c) Someone
license=Creative Commons Attribution 3.0 Unported license  © Someone
name#1=Sof\\u00e0
category#1=Living room
model#1=/models/sofa.obj
width#1=160
depth#1=80
height#1=90
creator#1=Zoë
name#2=Door
category#2=Doors and windows
model#2=/models/door.obj
width#2=1
depth#2=1
height#2=1
"""


def test_library_models_get_catalogue_size_and_their_back_at_positive_y(tmp_path):
    path = write_library(tmp_path / "lib.sh3f", CATALOGUE_TEXT, **{"models/sofa.obj": sofa_obj()})
    pack = build_pack([path])
    assert [(dropped.name, dropped.reason) for dropped in pack.dropped] == [("Door (door)", "part of the building")]
    (model,) = pack.models
    assert (model.name, model.author, model.licence) == ("Sofà (sofa)", "Zoë", "CC-BY-3.0")
    write_pack(tmp_path / "pack.npz", pack.models)
    (loaded,) = FurnitureLibrary.load(tmp_path / "pack.npz")
    np.testing.assert_allclose(loaded.size_m, (1.6, 0.8, 0.9), atol=loaded.voxel_size_m)
    assert loaded.contains(np.array([[0.0, 0.35, 0.8], [0, -0.35, 0.8], [0, -0.35, 0.4]])).tolist() == [
        True,
        False,
        True,
    ]
    text = attribution(pack)
    assert "**Zoë**: Sofà (sofa)" in text and "> Copyright (c) Someone" in text and "licenses/by/3.0/" in text


def test_rotation_of_the_catalogue_is_applied_before_scaling(tmp_path):
    turned = CATALOGUE_TEXT + "modelRotation#1=-1 0 0 0 1 0 0 0 -1\n"
    path = write_library(tmp_path / "lib.sh3f", turned, **{"models/sofa.obj": sofa_obj()})
    with SweetHomeLibrary(path) as library:
        vertices, _ = library.mesh(next(iter(library.entries())))
    high = vertices[vertices[:, 2] > 0.8]
    assert high[:, 1].max() < 0.25  # turned about: the back is now at the front
    np.testing.assert_allclose(np.ptp(vertices, axis=0), (1.6, 0.8, 0.9))


def test_paths_out_of_the_library_are_never_followed(tmp_path):
    (tmp_path / "secret.obj").write_bytes(sofa_obj())
    catalogue = CATALOGUE_TEXT.replace("/models/sofa.obj", "/../secret.obj")
    pack_error = "no model could be made solid of 2 in 1 sources"
    with pytest.raises(ValueError, match=pack_error):
        build_pack([write_library(tmp_path / "lib.sh3f", catalogue)])


def test_broken_libraries_are_refused_with_one_sentence(tmp_path):
    (tmp_path / "text.sh3f").write_text("no zip")
    with pytest.raises(ValueError, match="expected a Sweet Home 3D library"):
        build_pack([tmp_path / "text.sh3f"])
    broken = CATALOGUE_TEXT.replace("width#1=160", "width#1=wide")
    with pytest.raises(ValueError, match="model 1 of the catalogue cannot be read"):
        build_pack([write_library(tmp_path / "lib.sh3f", broken)])
    with zipfile.ZipFile(tmp_path / "empty.sh3f", "w") as archive:
        archive.writestr("other", "x")
    with pytest.raises(ValueError, match=f"expected a file {CATALOGUE} inside"):
        build_pack([tmp_path / "empty.sh3f"])


def test_folders_of_meshes_report_each_drop(tmp_path):
    folder = tmp_path / "meshes"
    (folder / "shop").mkdir(parents=True)
    trimesh.creation.box((60, 40, 75)).export(folder / "shop" / "side_table.stl")
    trimesh.Trimesh([[0, 0, 0], [90, 0, 0], [0, 90, 20]], [[0, 1, 2]]).export(folder / "sheet.ply")
    (folder / "broken.off").write_text("OFF\n3 1")
    pack = build_pack([folder], metres_per_unit=0.01, author="Me", licence="CC0-1.0")
    assert [(model.name, model.category) for model in pack.models] == [("shop/side_table", "table")]
    assert {dropped.name: dropped.reason for dropped in pack.dropped} == {"broken": "unreadable", "sheet": "no inside"}
    assert pack.report()[0] == "dropped 2: 1 no inside, 1 unreadable"
    with pytest.raises(ValueError, match="expected meshes"):
        (tmp_path / "nothing").mkdir()
        build_pack([tmp_path / "nothing"])


def test_properties_know_comments_continuations_and_escapes():
    text = "# no=1\na=x \\\n   y\n b#1 = caf\\u00e9\\:\n!c=2\n"
    assert parse_properties(text) == {"a": "x y", "b#1": "café:"}
