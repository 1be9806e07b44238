"""Readers of data sets, libraries, weights and configurations."""

from __future__ import annotations

import io
import tempfile
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from sparse_convonet.config.experiment import ExperimentConfig, load_config, save_resolved
from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.binvox import Voxels, read_binvox, write_binvox
from sparse_convonet.data.convonet.layout import read_metadata, read_split
from sparse_convonet.data.convonet.renderings import read_view
from sparse_convonet.data.convonet.samples import read_occupancy, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame, write_frame
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.furniture.pack import PackedModel, PackedVoxels, write_pack
from sparse_convonet.data.furniture.sweethome3d import CATALOGUE, SweetHomeLibrary
from sparse_convonet.data.sets.official_splits import read_splits
from sparse_convonet.data.sets.scannet import read_alignment, read_labels
from sparse_convonet.io.octomap import read_octomap
from sparse_convonet.io.voxel_arrays import read_voxel_array
from sparse_convonet.model import build
from sparse_convonet.model.weights import load_model, save_weights
from tests.fuzz.containers import mutate_json, mutate_png, mutate_safetensors, mutate_zip, zipped
from tests.fuzz.mesh_targets import tetrahedron
from tests.fuzz.point_targets import cloud, npz, written
from tests.fuzz.target import Target
from tests.oracles.octomap_files import binary_file, full_file, tree_of_cells

_CONFIGS = Path(__file__).parents[2] / "configs"


def _surfaces() -> list[bytes]:
    points = cloud(6)
    assert points.normals is not None
    half, semantics = points.points.astype(np.float16) / 8, np.arange(6) - 1
    return [
        npz(points=half, normals=points.normals.astype(np.float16), semantics=semantics),
        npz(zipfile.ZIP_DEFLATED, points=half.astype(np.float32)),
    ]


def _occupancies() -> list[bytes]:
    half, inside = cloud(11).points.astype(np.float16) / 8, np.arange(11) % 3 == 0
    return [
        npz(points=half, occupancies=np.packbits(inside), z_scale=np.array(0.5)),
        npz(zipfile.ZIP_DEFLATED, points=half.astype(np.float64), occupancies=inside, semantics=np.arange(11)),
    ]


def _read_surface(folder: Path, file: Path) -> None:
    found = read_surface(file)
    assert len(found) > 0 and np.isfinite(found.points_unit).all()


def _read_occupancy(folder: Path, file: Path) -> None:
    found = read_occupancy(file)
    assert found.occupied.dtype == bool and found.occupied.shape == (len(found),)


def _binvoxes() -> list[bytes]:
    voxels = np.zeros((4, 5, 6), dtype=bool)
    voxels[1:3, 2:, 1:4] = True
    return [written(lambda path: write_binvox(path, Voxels(voxels, (0.5, -0.5, 1e-3), 2.0)), ".binvox")]


def _read_binvox(folder: Path, file: Path) -> None:
    found = read_binvox(file)
    assert found.occupied.ndim == 3 and np.isfinite(found.centres()).all()


def _octomaps() -> list[bytes]:
    half = 1 << 15
    tree = tree_of_cells({(half + x, half, half + z) for x in range(4) for z in range(3)}, {(half - 2, half, half)})
    samples = [binary_file(tree, 0.1), full_file(tree, 0.1), full_file(tree, 0.05, colour=True)]
    with tempfile.TemporaryDirectory() as folder:  # compile both loops before the time of a reader counts
        for sample in samples[:2]:
            place = Path(folder) / "map.bt"
            place.write_bytes(sample)
            read_octomap(place)
    return samples


def _read_octomap(folder: Path, file: Path) -> None:
    found = read_octomap(file)
    assert len(found.index) > 0 and np.isfinite(found.centres()).all()


def _voxel_arrays() -> list[bytes]:
    occupied = np.arange(24).reshape(2, 3, 4) % 5 == 0
    return [
        npz(occupied=occupied, voxel_size=np.array(0.5), origin=np.array([1.0, 2.0, 3.0])),
        npz(zipfile.ZIP_DEFLATED, grid=occupied),
    ]


def _read_voxel_array(folder: Path, file: Path) -> None:
    found = read_voxel_array(file)
    assert len(found.index) > 0 and np.isfinite(found.centres()).all()


def _pictures() -> list[bytes]:
    grey = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    files = []
    for picture, kind in ((grey, "PNG"), (grey.convert("RGBA"), "PNG"), (grey.convert("P"), "PNG"), (grey, "JPEG")):
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        files.append(buffer.getvalue())
    return files


def _cameras() -> list[bytes]:
    return [npz(world_mat_0=np.eye(3, 4, dtype=np.float32), camera_mat_0=np.eye(3))]


def _read_view(folder: Path, file: Path) -> None:
    view = read_view(folder, 0)
    assert view.image.dtype == np.uint8 and view.image.ndim == 3


def _packs() -> list[bytes]:
    voxels = np.zeros((3, 4, 5), dtype=bool)
    voxels[1, 1:3] = True
    texts = {"source": "a", "author": "b", "licence": "c", "room": "d", "placement": "floor", "split": "train"}
    models = [
        PackedModel(name, "chair", **texts, voxel_size_m=0.05, elevation_m=0.0, packed=PackedVoxels.pack(voxels))
        for name in ("first", "second")
    ]
    return [written(lambda path: write_pack(path, models), ".npz")]


def _read_pack(folder: Path, file: Path) -> None:
    assert all(model.packed.unpack().any() for model in FurnitureLibrary.load(file))


def _libraries() -> list[bytes]:
    catalogue = "# DefaultFurnitureCatalog\n# by hand\nlicense=free\nname#1=Sof\\u00e0\ncategory#1=Living room\n"
    catalogue += "model#1=/models/sofa.obj\nwidth#1=160\ndepth#1=80\nheight#1=90\nmodelRotation#1=1 0 0 0 1 0 0 0 1\n"
    catalogue += "elevation#1=3\nname#2=Door\nmodel#2=/a.obj\nwidth#2=1\ndepth#2=1\nheight#2=1\ndoorOrWindow#2=true\n"
    text = tetrahedron().to_trimesh().export(file_type="obj")
    members = {
        CATALOGUE: catalogue.encode("latin-1"),
        "models/sofa.obj": str(text).encode(),
        "LICENSE.TXT": b"(c) Me\n",
    }
    return [zipped(members), zipped(members, zipfile.ZIP_DEFLATED)]


def _read_library(folder: Path, file: Path) -> None:
    with SweetHomeLibrary(file) as library:
        for entry in library.entries():
            vertices, faces = library.mesh(entry)
            assert len(faces) == 0 or (0 <= faces.min() and faces.max() < len(vertices))


def _read_metadata(folder: Path, file: Path) -> None:
    assert all(isinstance(name, str) for name in read_metadata(folder).values())


def _read_list(folder: Path, file: Path) -> None:
    for name in [*read_split(file), *read_splits([file]).split_of]:
        assert name not in ("", ".", "..") and "/" not in name and "\\" not in name and "\0" not in name


def _frames() -> list[bytes]:
    def write(path: Path) -> None:
        write_frame(path.parent, UnitFrame(np.array([1.0, 2.0, 3.0]), 4.0))
        (path.parent / "frame.json").rename(path)

    return [written(write, ".json")]


def _alignments() -> list[bytes]:
    return [b"axisAlignment = 0 -1 0 1.5 1 0 0 2 0 0 1 -0.1 0 0 0 1 \ncolorHeight = 968\nsceneType = Living room\n"]


def _read_alignment(folder: Path, file: Path) -> None:
    found = read_alignment(file)
    assert found is None or (found.shape == (4, 4) and np.isfinite(found).all())


def _labels() -> list[bytes]:
    head = "ply\nformat {} 1.0\nelement vertex 3\nproperty float x\nproperty ushort label\nend_header\n"
    rows = np.array([(0.5, 1), (1.5, 40), (2.5, 0)], dtype=[("x", "<f4"), ("label", "<u2")])
    return [
        head.format("binary_little_endian").encode() + rows.tobytes(),
        (head.format("ascii") + "0 1\n1 40\n2 0\n").encode(),
    ]


def _read_labels(folder: Path, file: Path) -> None:
    found = read_labels(file, 3)
    assert found.dtype == np.int64 and 0 <= found.min() and found.max() <= 40


def _configs() -> list[bytes]:
    texts = [path.read_bytes() for path in sorted(_CONFIGS.rglob("*.yaml"))]
    resolved = written(lambda path: save_resolved(ExperimentConfig(), path), ".yaml")
    inherits = b"inherit_from: parent.yaml\ntraining: {steps: 500, learning_rate: 1e-3}\nmesh:\n  threshold: null\n"
    return [*(text for text in texts if b"inherit_from" not in text), resolved, inherits]


def _read_config(folder: Path, file: Path) -> None:
    load_config(file)


@cache
def _weights() -> tuple[bytes, ...]:
    model = SparseModelConfig(
        engine="native", widths=(4, 4), pointnet_width=4, pointnet_blocks=1, feature_width=4, decoder_width=4,
        decoder_blocks=1, dilate_from_stride=2,
    )  # fmt: skip
    config = replace(ExperimentConfig(), model=model)
    values = build(model).state_dict()
    return (
        written(lambda path: save_weights(values, config, path, threshold=0.4, record={"steps": 3}), ".safetensors"),
    )


def _read_weights(folder: Path, file: Path) -> None:
    loaded = load_model(file)
    assert 0 < loaded.threshold < 1


_YAML_WORDS = tuple(b"&a *a <<: !!python/object/apply:os.system !!binary !!timestamp !!float !!int !!set !!omap "
                    b"!!bool "
                    b"- ? : "
                    b"| > >- [ ] { } --- ... %YAML ~ null 2001-13-45 1:60:60 .inf 0x1F 0o7 inherit_from: ../secret.yaml "
                    b"model: field: dense sparse points global dense_voxels baseline: method: training: data:".split()
)  # fmt: skip
_NPY_WORDS = (b"'<f2'", b"'<f8'", b"'|O'", b"'<U9'", b"'|b1'", b"(6,3)", b"(3,6)", b"()", b"(0,3)", b"True")
_CATALOGUE_WORDS = (b"=", b"#1=", b"\\u00e0", b"\\", b"doorOrWindow#1=true", b"width#1=nan", b"width#1=-1", b"height#1=inf",
                    b"modelRotation#1=0", b"model#1=../secret.yaml", b"model#1=a.glb", b"model#1=a.3ds",
 b"name#9=a")  # fmt: skip


def targets() -> list[Target]:
    beside = {"cameras.npz": _cameras()[0], "000.png": _pictures()[0]}
    return [
        Target("convonet surface", "pointcloud.npz", _surfaces, _read_surface, _NPY_WORDS, mutate_zip),
        Target("convonet occupancy", "points.npz", _occupancies, _read_occupancy, _NPY_WORDS, mutate_zip),
        Target("binvox", "model.binvox", _binvoxes, _read_binvox, (b"dim", b"data", b"scale", b"translate")),
        Target("octomap", "map.bt", _octomaps, _read_octomap, (b"size", b"res", b"data", b"id", b"OcTree", b"binary")),
        Target("voxel array", "a.npz", _voxel_arrays, _read_voxel_array, _NPY_WORDS, mutate_zip),
        Target(
            "rendering", "000.png", _pictures, _read_view, (), mutate_png,
            lambda: {"cameras.npz": beside["cameras.npz"]},
        ),
        Target(
            "cameras", "cameras.npz", _cameras, _read_view, _NPY_WORDS, mutate_zip,
            lambda: {"000.png": beside["000.png"]},
        ),
        Target("furniture pack", "pack.npz", _packs, _read_pack, (*_NPY_WORDS, b"'<U5'", b"'<i4'"), mutate_zip),
        Target("sweethome3d", "a.sh3f", _libraries, _read_library, _CATALOGUE_WORDS, mutate_zip),
        Target(
            "split list", "train.lst", lambda: [b"one\ntwo\nthree", b"\xef\xbb\xbfa b\r\nc\r\n"], _read_list,
            (b"..", b"/a", b"a/b"),
        ),
        Target(
            "metadata", "metadata.yaml", lambda: [b"'one': {id: one, name: chair}\ntwo:\n  name: sofa\n"], _read_metadata,
            _YAML_WORDS, others=lambda: {"one/a": b"", "two/a": b""},
        ),
        Target("frame", "frame.json", _frames, lambda folder, file: read_frame(folder), (), mutate_json),
        Target("scannet alignment", "scene.txt", _alignments, _read_alignment, (b"axisAlignment", b"=")),
        Target("scannet labels", "scene.labels.ply", _labels, _read_labels, (b"label", b"vertex", b"list", b"int")),
        Target(
            "config", "a.yaml", _configs, _read_config, _YAML_WORDS,
            others=lambda: {"parent.yaml": b"data: {points: 7}\n"}, free=True,
        ),
        Target("weights", "a.safetensors", _weights, _read_weights, (), mutate_safetensors, quick=40),
    ]  # fmt: skip
