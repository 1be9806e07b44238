"""Data sets, weights and configurations that once ended in a crash or another exception."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.config.experiment import load_config
from sparse_convonet.data.convonet.layout import read_metadata
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.furniture.sweethome3d import CATALOGUE, SweetHomeLibrary, parse_properties
from sparse_convonet.data.sets.scannet import read_alignment
from sparse_convonet.model.weights import load_model
from tests.fuzz.containers import zipped
from tests.fuzz.point_targets import npy, npz
from tests.fuzz.registry import all_targets
from tests.fuzz.sandbox import refusal_of


def sentence(name: str, content: bytes) -> str:
    """That of the refusal of an input; it is one line without control characters, which the judge sees to."""
    return refusal_of(all_targets()[name], content)


def put(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_letters_that_are_none_in_a_furniture_pack_are_refused() -> None:
    content = all_targets()["furniture pack"].samples[0]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members["author.npy"] = members["author.npy"][:-4] + b"\xff\xff\xff\xff"
    assert "expected texts" in sentence("furniture pack", zipped(members))


def library(
    folder: Path, catalogue: str, members: dict[str, bytes], method: int = zipfile.ZIP_STORED
) -> SweetHomeLibrary:
    text = "name#1=a\nwidth#1=10\ndepth#1=10\nheight#1=10\nmodel#1=/a.obj\n" + catalogue
    return SweetHomeLibrary(put(folder, "a.sh3f", zipped({CATALOGUE: text.encode(), **members}, method)))


@pytest.mark.parametrize("line", ["width#1=nan", "height#1=inf", "depth#1=-1"])
def test_sizes_of_a_catalogue_are_sizes(tmp_path: Path, line: str) -> None:
    with library(tmp_path, line, {}) as opened, pytest.raises(ValueError, match="expected sizes of at least 0"):
        list(opened.entries())


def test_models_of_a_catalogue_are_no_archives_and_have_finite_corners(tmp_path: Path) -> None:
    obj = b"v 0 0 0\nv 1e300 0 0\nv 0 1 0\nf 1 2 3\n"
    with library(tmp_path, "modelRotation#1=1e300 0 0 0 1 0 0 0 1", {"a.obj": obj}) as opened:
        (entry,) = opened.entries()
        with pytest.raises(ValueError, match="corners of faces"):
            opened.mesh(entry)
    with library(tmp_path, "model#1=a.zip", {"a.zip": zipped({"a.obj": obj})}) as opened:
        (entry,) = opened.entries()
        with pytest.raises(ValueError, match="expected models of obj"):
            opened.mesh(entry)


def test_a_model_of_a_catalogue_thinner_than_any_number_is_not_stretched(tmp_path: Path) -> None:
    obj = b"v 0 0 0\nv 1 0 0\nv 0 1e-310 1\nf 1 2 3\n"
    with library(tmp_path, "", {"a.obj": obj}) as opened, warnings.catch_warnings():
        warnings.simplefilter("error")
        (entry,) = opened.entries()
        vertices, _ = opened.mesh(entry)
    assert np.allclose(np.ptp(vertices, axis=0), [0.1, 0.1, 0])


@pytest.mark.parametrize("label", ["nan", "0.5", "-1", "41", "1e300"])
def test_labels_are_classes(label: str) -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float label\nend_header\n"
    assert "NYU40 classes" in sentence("scannet labels", f"{head}1\n{label}\n2\n".encode())


def test_a_library_of_methods_without_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stored or deflated"):
        library(tmp_path, "", {}, zipfile.ZIP_BZIP2)


def test_escapes_of_two_halves_are_one_letter_and_a_lone_half_is_none() -> None:
    assert parse_properties("a=\\ud83d\\ude00\nb=\\ud83d") == {"a": "\U0001f600", "b": "\ufffd"}


def laughs(levels: int = 9) -> str:
    """A few lines that stand for 10^levels words."""
    lines = ['a0: &a0 ["ha"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "text",
    [
        laughs(),
        "a: &a {b: 1}\nc: {<<: [*a, *a]}\n",
        "a: &a [*a]\n",
        "[" * 5000,
        "training: !!bool x\n",
        "training: !!float ''\n",
        "training: !!timestamp x\n",
        "training: !!int ''\n",
        "training: 2001-13-45\n",
        "\x01",
        "model: {field: [a]}\n",
        "model: {field: {a: b}}\n",
        'training: {"a\\nb": 1}\n',
        "training: {steps: 0x" + "f" * 20_000 + ".}\n",
        "training: {seed: [" + "1, " * 5000 + "1]}\n",
        "training: {batch: '" + "a" * 5000 + "'}\n",
        "training: {batch: 0x" + "f" * 20_000 + "}\n",
        "training: {steps: -0x8000000000000000}\n",
        "inherit_from: " + "a/" * 3000 + "\n",
        'inherit_from: "a\\0b"\n',
    ],
)
def test_configurations_are_refused_in_one_sentence(text: str) -> None:
    assert "a.yaml: " in sentence("config", text.encode())


def test_whole_numbers_too_large_to_print_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "a.yaml", "training: {batch: [0x" + "f" * 20_000 + "]}\n")
    with pytest.raises(ValueError, match=r"training.batch: expected a whole number, found a list that is too large"):
        load_config(path)


def test_names_of_classes_are_plain_text(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    put(tmp_path, "metadata.yaml", 'one: {name: "a\\nb\\e[2J"}\n')
    assert read_metadata(tmp_path) == {"one": "a b?[2J"}
    put(tmp_path, "metadata.yaml", laughs() + "one: {name: *a8}\n")
    with pytest.raises(ValueError, match="expected YAML"):
        read_metadata(tmp_path)


def test_an_alignment_of_immense_numbers_is_refused_without_a_warning(tmp_path: Path) -> None:
    path = put(tmp_path, "scene.txt", "axisAlignment = 1e300 0 0 0 0 1e300 0 0 0 0 1 0 0 0 0 1\n")
    with warnings.catch_warnings(), pytest.raises(ValueError, match="a turn and a shift"):
        warnings.simplefilter("error")
        read_alignment(path)


def weights(**changed: object) -> bytes:
    """The sample of the weights with other texts in its header."""
    content = all_targets()["weights"].samples[0]
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"].update({name: value for name, value in changed.items() if name != "model"})
    if "model" in changed:
        config = json.loads(header["__metadata__"]["config"])
        config["model"].update(changed["model"])
        header["__metadata__"]["config"] = json.dumps(config)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


@pytest.mark.parametrize(
    "changed",
    [
        {"threshold": "nan"},
        {"threshold": "1.5"},
        {"threshold": "\n\x1b"},
        {"config": "[]"},
        {"config": "[" * 100_000},
        {"record": "7"},
        {"model": {"decoder_blocks": 10**9}},
        {"model": {"widths": [4] * 500}},
        {"model": {"widths": [10**9, 10**9]}},
        {"model": {"decoder_width": 10**30}},
        {"model": {"pointnet_width": 60_000}},
    ],
    ids=str,
)
def test_weights_whose_header_asks_for_another_network_are_refused_before_it_is_built(changed: dict) -> None:
    assert "a.safetensors: " in sentence("weights", weights(**changed))


def test_weights_without_their_config_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(2)}, tmp_path / "a.safetensors", metadata={"format": "sparse_convonet-1"})
    with pytest.raises(ValueError, match="expected a config, a threshold and a record in the header"):
        load_model(tmp_path / "a.safetensors")


def test_cameras_beyond_single_precision_are_refused() -> None:
    sentence("cameras", npz(world_mat_0=np.full((3, 4), 1e300), camera_mat_0=np.eye(3)))


def test_a_pack_is_no_single_array(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it is one array"):
        FurnitureLibrary.load(put(tmp_path, "a.npz", npy(np.zeros(3))))


def test_long_lists_in_configurations_are_refused_in_a_short_sentence() -> None:
    found = sentence("config", b"model:\n  widths: [32, 0" + b", 48" * 5000 + b"]\n")
    assert "model.widths: expected one positive width per level, found (32, 0, 48" in found and len(found) < 400


def test_numbers_of_models_that_are_none_do_not_count(tmp_path: Path) -> None:
    catalogue = "name#1=chair\nmodel#1=/a.obj\nwidth#1=1\ndepth#1=1\nheight#1=1\nname#%s=table\n"
    path = put(tmp_path, "a.sh3f", zipped({CATALOGUE: (catalogue % ("7" * 5000)).encode()}))
    with SweetHomeLibrary(path) as library:
        assert [entry.name for entry in library.entries()] == ["chair"]
