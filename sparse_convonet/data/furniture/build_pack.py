"""Build a furniture pack: read libraries and mesh folders, make every model solid, split, and say what was dropped."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh

from sparse_convonet.data.furniture.kinds import kind_of, placement_of, reason_left_out
from sparse_convonet.data.furniture.pack import PackedModel, PackedVoxels
from sparse_convonet.data.furniture.solidify import NotSolidError, SolidifySettings, solidify
from sparse_convonet.data.furniture.splits import group_variants, split_of
from sparse_convonet.data.furniture.sweethome3d import SweetHomeLibrary

logger = logging.getLogger(__name__)

MESH_ENDINGS = (".obj", ".off", ".stl", ".ply", ".glb")
_VARIANT_WORDS = r"\d*seats|small|big|large|left|right|closed|opened?|rect|textured|shadows"
_VARIANT = re.compile(rf"([-_ ]*(\d+|(?<=[-_ ])({_VARIANT_WORDS})))+$")  # at the end of a file's stem
_SPDX = {
    "Public domain": "CC0-1.0",
    "Creative Commons Attribution 3.0 license": "CC-BY-3.0",
    "Creative Commons Attribution 3.0 Unported license": "CC-BY-3.0",
    "Creative Commons Attribution 3.0 United States license": "CC-BY-3.0-US",
}
LICENCE_ADDRESSES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
}


@dataclass(frozen=True)
class RawModel:
    """A model as it was read: vertices (V, 3) float64 metres, z up, back towards +y; faces (F, 3) int64."""

    title: str
    stem: str
    category: str
    source: str
    author: str
    licence: str
    room: str
    placement: str
    elevation_m: float
    vertices: np.ndarray
    faces: np.ndarray

    @property
    def name(self) -> str:
        """The title with the file's stem, which makes it unique in its source."""
        return f"{self.title} ({self.stem})" if self.title != self.stem else self.stem


@dataclass(frozen=True)
class Dropped:
    """A model that is not in the pack, and why."""

    name: str
    source: str
    reason: str
    detail: str


@dataclass
class BuiltPack:
    """The models in the order of their sources, what was dropped, and the copyright notices of each source."""

    models: list[PackedModel] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    notices: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def report(self) -> list[str]:
        """One line for each count: dropped by reason, kept by category and by split."""
        reasons = Counter(dropped.reason for dropped in self.dropped)
        categories = Counter(model.category for model in self.models)
        splits = Counter(model.split for model in self.models)
        return [
            f"dropped {len(self.dropped)}: " + ", ".join(f"{count} {name}" for name, count in sorted(reasons.items())),
            f"kept {len(self.models)}: " + ", ".join(f"{count} {name}" for name, count in sorted(categories.items())),
            "split: " + ", ".join(f"{count} {name}" for name, count in sorted(splits.items())),
        ]


def build_pack(
    sources: Sequence[Path],
    settings: SolidifySettings = SolidifySettings(),
    *,
    metres_per_unit: float = 1.0,
    up_axis: str = "z",
    author: str = "unknown",
    licence: str = "unknown",
) -> BuiltPack:
    """Read .sh3f files and mesh folders and make their models solid.

    metres_per_unit, up_axis ("y" or "z"), author and licence hold for the mesh folders; libraries have their own.
    Raises ValueError when a source is neither, and when no model could be made solid.
    """
    pack = BuiltPack()
    solids: list[np.ndarray] = []
    kept: list[tuple[RawModel, float]] = []
    for source in sources:
        if source.is_dir():
            raw_models = _read_folder(source, pack, metres_per_unit, up_axis, author, licence)
        elif source.suffix == ".sh3f":
            raw_models = _read_library(source, pack)
        else:
            raise ValueError(f"{source}: expected a Sweet Home 3D library (.sh3f) or a folder of meshes")
        for raw in raw_models:
            standing = raw.placement in ("floor", "top")
            try:
                solid, voxel_size_m = solidify(
                    raw.vertices, raw.faces, settings, closed_sides=("bottom", "back") if standing else ("back",)
                )
            except NotSolidError as error:
                _drop(pack, raw.name, raw.source, error.reason, str(error))
                continue
            solids.append(solid)
            kept.append((raw, voxel_size_m))
    if not kept:
        raise ValueError(f"no model could be made solid of {len(pack.dropped)} in {len(sources)} sources")
    _assign_splits(pack, kept, solids)
    return pack


def _assign_splits(pack: BuiltPack, kept: list[tuple[RawModel, float]], solids: list[np.ndarray]) -> None:
    keys = [f"{raw.source}/{_VARIANT.sub('', raw.stem.lower())}" for raw, _ in kept]
    sizes_m = np.array([np.array(solid.shape) * size for solid, (_, size) in zip(solids, kept, strict=True)])
    groups = group_variants(keys, solids, sizes_m)
    for (raw, voxel_size_m), solid, group in zip(kept, solids, groups, strict=True):
        pack.models.append(
            PackedModel(
                name=raw.name,
                category=raw.category,
                source=raw.source,
                author=raw.author,
                licence=raw.licence,
                room=raw.room,
                placement=raw.placement,
                split=split_of(group),
                voxel_size_m=voxel_size_m,
                elevation_m=raw.elevation_m,
                packed=PackedVoxels.pack(solid),
            )
        )


def _drop(pack: BuiltPack, name: str, source: str, reason: str, detail: str) -> None:
    pack.dropped.append(Dropped(name, source, reason, detail))
    logger.info("dropped %s of %s: %s", name, source, detail)


def _read_library(path: Path, pack: BuiltPack) -> Iterator[RawModel]:
    with SweetHomeLibrary(path) as library:
        pack.notices[library.source] = (*library.notices, f"Licence: {library.licence}")
        licence_text = re.split(r"\s+(?:Copyright\b|©)", library.licence)[0]  # the holders may follow it
        licence = _SPDX.get(licence_text, library.licence)
        for entry in library.entries():
            reason = reason_left_out(entry.name, entry.room)
            if reason is not None:
                _drop(pack, f"{entry.name} ({entry.stem})", library.source, reason, f"{reason} ({entry.room})")
                continue
            category = kind_of(entry.name, entry.room)
            try:
                vertices, faces = library.mesh(entry)
            except ValueError as error:
                _drop(pack, f"{entry.name} ({entry.stem})", library.source, "unreadable", str(error))
                continue
            yield RawModel(
                title=entry.name,
                stem=entry.stem,
                category=category,
                source=library.source,
                author=entry.author,
                licence=licence,
                room=entry.room,
                placement=placement_of(entry.name, category, entry.size_m, entry.elevation_m),
                elevation_m=entry.elevation_m,
                vertices=vertices,
                faces=faces,
            )


def _read_folder(
    folder: Path, pack: BuiltPack, metres_per_unit: float, up_axis: str, author: str, licence: str
) -> Iterator[RawModel]:
    """The meshes of a folder and its subfolders, in the order of their paths; the back is taken to be at +y.

    With up_axis "y" the mesh is turned as Sweet Home 3D's are: x right, y up, z towards the front.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in MESH_ENDINGS]
    if not paths:
        raise ValueError(f"{folder}: expected meshes ({', '.join(MESH_ENDINGS)}) in it, found none")
    pack.notices[folder.name] = (f"Licence: {licence}",)
    for path in paths:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        try:
            loaded = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
            _drop(pack, stem, folder.name, "unreadable", f"{path} cannot be read as a mesh: {error}")
            continue
        if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
            _drop(pack, stem, folder.name, "empty", f"{path} has no faces")
            continue
        vertices = np.asarray(loaded.vertices, dtype=np.float64) * metres_per_unit
        if up_axis == "y":
            vertices = vertices[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
        category = kind_of(re.sub(r"[-_/]+", " ", stem))
        yield RawModel(
            title=stem,
            stem=stem,
            category=category,
            source=folder.name,
            author=author,
            licence=licence,
            room="",
            placement=placement_of(stem, category, np.ptp(vertices, axis=0), 0.0),
            elevation_m=0.0,
            vertices=vertices,
            faces=np.asarray(loaded.faces, dtype=np.int64),
        )


def attribution(pack: BuiltPack) -> str:
    """The authors and licences of all models in the pack, as Markdown."""
    lines = [
        "# Who made the furniture",
        "",
        "The solid models in `furniture.npz` were made with `tools/make_furniture.py` from the models named here.  "
        "They were changed: stretched to the sizes in their catalogues, closed, turned into voxels of 0.5 to 2 cm, "
        "and stripped of colours and textures.  Their authors do not endorse this project.",
    ]
    for source, notices in pack.notices.items():
        models = [model for model in pack.models if model.source == source]
        if not models:
            continue
        lines += ["", f"## {source}: {len(models)} models", "", *(f"> {notice}  " for notice in notices), ""]
        for licence in sorted({model.licence for model in models}):
            address = LICENCE_ADDRESSES.get(licence)
            lines += [f"Licence of these models: {licence}" + (f", <{address}>" if address else ""), ""]
        for author in sorted({model.author for model in models}, key=str.lower):
            names = [model.name for model in models if model.author == author]
            lines.append(f"- **{author}**: {', '.join(sorted(names, key=str.lower))}")
    return "\n".join(lines) + "\n"
