"""Where the models of ShapeNet lie: raw, as they are handed out, and watertight, as the papers' recipe has them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sparse_convonet.data.convonet.layout import read_split
from sparse_convonet.data.sets.shape_stock import CLASSES
from sparse_convonet.io.meshes import READ_SUFFIXES, read_mesh
from sparse_convonet.mesh.winding import WindingNumbers

WATERTIGHT_FOLDER = "2_watertight"
RAW_FILES = ("models/model_normalized.obj", "model.obj")  # of ShapeNet v2 and v1

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawModel:
    """A model as it was handed out: its class, its name and its file, which need not exist."""

    category: str
    name: str
    path: Path

    @property
    def title(self) -> str:
        return f"{self.category}/{self.name}"


def find_raw_models(root: Path, classes: Sequence[str] = ()) -> list[RawModel]:
    """The models <root>/<class>/<name>/models/model_normalized.obj (v2), .../<name>/model.obj (v1), and meshes that
    lie in <root>/<class>/ themselves; or all that in <root>, whose name is then the class.

    classes: synsets or their names (chair, ...); none: all that are there.  Sorted by class and name.
    Raises ValueError where there is nothing, or two files are the same model.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder of models, found none; check the path")
    folders = [root] if _raw_models(root) else [folder for folder in sorted(root.iterdir()) if folder.is_dir()]
    found = {folder.resolve().name: _raw_models(folder) for folder in folders}
    found = {category: models for category, models in found.items() if models}
    if not found:
        raise ValueError(
            f"{root}: expected models ({' or '.join(f'<class>/<name>/{file}' for file in RAW_FILES)}, or folders of "
            f"{', '.join(READ_SUFFIXES)}), found none; check the path"
        )
    wanted = [_synset(name, found) for name in classes]
    absent = [name for name, synset in zip(classes, wanted, strict=True) if synset not in found]
    if absent:
        raise ValueError(f"{root}: expected classes of {', '.join(found)}, found {', '.join(absent)} asked for")
    return [model for category, models in found.items() if not wanted or category in wanted for model in models]


def _synset(name: str, known: dict[str, list[RawModel]]) -> str:
    """The synset of a class by its English name; other names, and those of folders, are what they are."""
    synsets = {title: synset for synset, title in CLASSES.items()}
    return name if name in known else synsets.get(name, name)


def _raw_models(folder: Path) -> list[RawModel]:
    """The models of one class, sorted; [] where none of its folders holds one and no mesh lies in it."""
    models: dict[str, RawModel] = {}
    complete = False
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            files = [entry / file for file in RAW_FILES if (entry / file).is_file()]
            complete |= bool(files)
            # A folder without its file counts as a model that is broken, once others show that this is a class.
            model = RawModel(folder.resolve().name, entry.name, files[0] if files else entry / RAW_FILES[0])
        elif entry.suffix.lower() in READ_SUFFIXES:
            complete = True
            model = RawModel(folder.resolve().name, entry.stem, entry)
        else:
            continue
        if model.name in models:
            raise ValueError(f"{entry}: expected one file per model, found {models[model.name].path} too; remove one")
        models[model.name] = model
    return list(models.values()) if complete else []


class _Surface(NamedTuple):
    vertices: np.ndarray
    faces: np.ndarray


class WatertightShape(_Surface):
    """vertices (V, 3) float64, y up, and faces (F, 3) int64 of a closed surface, which also knows its inside."""

    @cached_property
    def _winding(self) -> WindingNumbers:
        return WindingNumbers(self.vertices, self.faces)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (Q, 3), in the shape's frame, lie inside: (Q,) bool."""
        return self._winding.occupied(points)


class WatertightShapes:
    """Shapes <root>/<synset>/2_watertight/<name>.off, named by the lists <splits_root>/<synset>/<split>.lst.

    skip_broken: names on a list without a file are left out, counted in `skipped` and logged, instead of refused.
    """

    def __init__(self, root: Path, splits_root: Path | None = None, *, skip_broken: bool = False) -> None:
        if not root.is_dir():
            raise ValueError(f"{root}: expected the folder of watertight models, found none; check the path")
        self.root = root
        self.splits_root = root if splits_root is None else splits_root
        self.skip_broken = skip_broken
        self.skipped: dict[tuple[str, str], int] = {}  # by synset and split
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}

    def names(self, synset: str, split: str) -> tuple[str, ...]:
        """The shapes of a class and a split, in the order of its list.

        Raises ValueError where the list or a file is missing, or no name is left.
        """
        if (synset, split) not in self._names:
            self._names[synset, split] = self._read_names(synset, split)
        return self._names[synset, split]

    def load(self, synset: str, name: str) -> WatertightShape:
        """One shape, a pair (vertices, faces) in the frame of its file; read anew with each call.

        Raises FileNotFoundError or ValueError for a missing or damaged file.
        """
        mesh = read_mesh(self._path(synset, name))
        return WatertightShape(mesh.vertices, mesh.faces)

    def _path(self, synset: str, name: str) -> Path:
        return self.root / synset / WATERTIGHT_FOLDER / f"{name}.off"

    def _read_names(self, synset: str, split: str) -> tuple[str, ...]:
        path = self.splits_root / synset / f"{split}.lst"
        listed = read_split(path)
        folder = self.root / synset / WATERTIGHT_FOLDER
        present = {file.stem for file in folder.glob("*.off")}  # one look at the folder for thousands of names
        names = tuple(name for name in listed if name in present)
        title = f"{synset} ({CLASSES[synset]})" if synset in CLASSES else synset
        missing = [name for name in listed if name not in present]
        if missing and not self.skip_broken:
            raise ValueError(
                f"{path}: expected {len(listed)} watertight models in {folder}, found no {missing[0]}.off and "
                f"{len(missing) - 1} others missing; make them with sparse-convonet data watertight, or skip broken ones"
            )
        if missing:
            self.skipped[synset, split] = len(missing)
            logger.warning("%s, %s: %d of %d models are missing and left out", title, split, len(missing), len(listed))
        if not names:
            raise ValueError(f"{path}: expected at least one model of {title}, found none; correct the list")
        return names
