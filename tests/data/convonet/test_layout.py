"""Folders, lists and names of a data set: found in order, written as the papers' are, refused where they mislead."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.data.convonet.layout import (
    OCCUPANCY,
    SURFACE,
    ModelFolder,
    find_categories,
    find_models,
    read_metadata,
    read_split,
    write_metadata,
    write_split,
)
from tests.io.made_archives import refusal

NAMES = ["b", "a.b", "1a04e3", "0001", "with space", "ß", "-x", "..."]


def make_root(root: Path, models: dict[str, list[str]]) -> Path:
    for category, names in models.items():
        for name in names:
            (root / category / name).mkdir(parents=True)
    return root


def model_with(folder: Path, *files: str) -> ModelFolder:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return ModelFolder("a", folder.name, folder)


def test_a_list_comes_back_in_its_order_and_ends_without_a_newline(tmp_path: Path) -> None:
    write_split(tmp_path, "train", NAMES)
    assert read_split(tmp_path / "train.lst") == NAMES
    assert (tmp_path / "train.lst").read_bytes() == "\n".join(NAMES).encode()
    write_split(tmp_path, "val", [])
    assert read_split(tmp_path / "val.lst") == []


@given(names=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=4))
def test_a_list_that_can_be_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        write_split(folder, "any", names)
    except ValueError as error:
        assert "expected names of folders beside it" in str(error)
        assert any(
            set(name) & set("/\\\0") or name in ("", ".", "..") or not name.isprintable() or name != name.strip()
            for name in names
        )
    else:
        assert read_split(folder / "any.lst") == names


@pytest.mark.parametrize(
    "content",
    [b"a\nb", b"a\nb\n", b"a\r\nb\r\n", b"\n a \n\n\tb\n\n", b"\xef\xbb\xbfa\nb"],
    ids=["papers", "newline", "windows", "spaces", "byte order mark"],
)
def test_lists_of_any_editor_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.lst").write_bytes(content)
    assert read_split(tmp_path / "train.lst") == ["a", "b"]


@pytest.mark.parametrize("name", ["..", ".", "../a", "/etc", "a/b", "a\\b", "\0", "x" * 50 + "/" + "y" * 500])
def test_names_that_leave_the_class_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "train.lst"
    path.write_text(f"fine\n{name}\n")
    assert f"expected names of folders beside it, found {name[:80]!r}" in refusal(read_split, path)
    with pytest.raises(ValueError, match="expected names of folders beside it"):
        write_split(tmp_path, "new", ["fine", name])
    assert not (tmp_path / "new.lst").exists()


@pytest.mark.parametrize("name", ["", " ", " a", "a\n", "a\nb", "a\u2028b"])
def test_names_that_a_list_cannot_hold_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected names of folders beside it"):
        write_split(tmp_path, "train", [name])


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.lst"
    assert "found no list in that folder; name another split" in refusal(read_split, path)
    write_split(tmp_path, "val", NAMES)
    assert "expected the list of a split, found val.lst;" in refusal(read_split, path)
    path.write_bytes(b"a\n\xff\xfe")
    assert "expected names in UTF-8, found other bytes" in refusal(read_split, path)
    with path.open("wb") as file:
        file.truncate(1 << 30)  # takes no room on the disk
    assert "expected a list of names, found 1073741824 bytes" in refusal(read_split, path)


def test_models_come_class_by_class_from_the_lists_or_from_the_folders(tmp_path: Path) -> None:
    root = make_root(tmp_path / "set", {"b": ["y", "x"], "a": ["z"]})
    (root / "metadata.yaml").touch()
    (root / ".cache").mkdir()
    (root / "b" / ".partial").mkdir()
    write_split(root / "b", "train", ["y", "missing", "x"])
    write_split(root / "a", "train", ["z"])
    assert find_categories(root) == ("a", "b")

    def names(**chosen) -> list[tuple[str, str]]:
        models = find_models(root, **chosen)
        assert all(model.path == root / model.category / model.name for model in models)
        return [(model.category, model.name) for model in models]

    assert names(split="train") == [("a", "z"), ("b", "y"), ("b", "missing"), ("b", "x")]
    assert names() == [("a", "z"), ("b", "x"), ("b", "y")]
    assert names(split="train", categories=["b", "a"]) == [("b", "y"), ("b", "missing"), ("b", "x"), ("a", "z")]


def test_roots_without_models_are_refused(tmp_path: Path) -> None:
    assert "expected the folder of a data set" in refusal(find_categories, tmp_path / "missing")
    assert "expected folders of classes, found none" in refusal(find_categories, tmp_path)
    root = make_root(tmp_path, {"a": ["x"]})
    (root / "b").mkdir()
    message = refusal(lambda path: find_models(path, None, ["c"]), root)
    assert "expected a class of a, b, found 'c'" in message
    assert refusal(lambda path: find_models(path.parent.parent, "test"), root / "a" / "test.lst").endswith(
        "name another split or make the list"
    )
    write_split(root / "a", "train", [])
    assert "expected models in the split 'train'" in refusal(lambda path: find_models(path, "train", ["a"]), root)
    assert "expected models" in refusal(lambda path: find_models(path, None, ["b"]), root)


def test_files_of_a_model_are_one_or_many_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    one = model_with(tmp_path / "one", "pointcloud.npz", "points_iou.npz", "points.npz", "model.binvox")
    assert [path.name for path in one.files(SURFACE)] == ["pointcloud.npz"]
    assert [path.name for path in one.files(OCCUPANCY)] == ["points_iou.npz"]
    assert [path.name for path in one.files(("points", "points_iou"))] == ["points.npz"]
    for width in (2, 1):
        names = [f"pointcloud_{number:0{width}d}.npz" for number in range(12)]
        others = ("pointcloud_x.npz", "points_00.npz", ".pointcloud_00.12ab.partial.npz", "pointcloud_00.txt")
        many = model_with(tmp_path / f"many{width}", *(f"pointcloud/{name}" for name in (*names[::-1], *others)))
        assert [path.name for path in many.files(SURFACE)] == names
    assert many.files(SURFACE)[0].parent == many.path / "pointcloud"


def test_a_model_without_its_files_says_what_there_is(tmp_path: Path) -> None:
    model = model_with(tmp_path / "m", "points.npz", "pointcloud/notes.txt")
    wanted = "expected pointcloud.npz or pointcloud/pointcloud_00.npz, found "
    assert wanted + "pointcloud, points.npz;" in refusal(lambda path: model.files(SURFACE), model.path)
    missing = ModelFolder("a", "x", tmp_path / "x")
    assert wanted + "no such folder;" in refusal(lambda path: missing.files(SURFACE), missing.path)
    missing.path.mkdir()
    assert wanted + "an empty folder;" in refusal(lambda path: missing.files(SURFACE), missing.path)


def test_names_of_classes_come_back_and_are_those_of_the_folders_otherwise(tmp_path: Path) -> None:
    make_root(tmp_path, {"04256520": ["x"], "rooms_04": ["x"]})
    assert read_metadata(tmp_path) == {"04256520": "04256520", "rooms_04": "rooms_04"}
    write_metadata(tmp_path, {"04256520": "sofa,couch"})
    assert read_metadata(tmp_path) == {"04256520": "sofa,couch", "rooms_04": "rooms_04"}
    papers = yaml.safe_load((tmp_path / "metadata.yaml").read_text())
    assert papers == {"04256520": {"id": "04256520", "name": "sofa,couch"}}


@pytest.mark.parametrize(
    "content",
    ["[", "- a", "a: b", "a", "", "\t", "a: !!python/object/apply:os.getcwd []", "a: {name: 2020-99-99}", "[" * 20_000],
)
def test_metadata_that_is_no_mapping_of_classes_is_refused(tmp_path: Path, content: str) -> None:
    make_root(tmp_path, {"a": ["x"]})
    path = tmp_path / "metadata.yaml"
    path.write_text(content)
    assert "expected " in refusal(lambda path: read_metadata(path.parent), path)
    path.write_bytes(b"\xff\xff\xff")
    assert "expected YAML" in refusal(lambda path: read_metadata(path.parent), path)
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert "found 1073741824 bytes" in refusal(lambda path: read_metadata(path.parent), path)
