"""Where things lie in a data set: <root>/<class>/<model>/ with files of one split per <class>/<split>.lst."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from sparse_convonet.config.strict_yaml import parse_yaml
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import one_line

logger = logging.getLogger(__name__)

SURFACE = ("pointcloud",)
OCCUPANCY = ("points_iou", "points")  # the first that exists; for training, the other way round
METADATA = "metadata.yaml"
VOXELS = "model.binvox"
_MAX_LIST_BYTES = 64 << 20
_NAME = re.compile(r"[^/\\\0]+")


@dataclass(frozen=True)
class ModelFolder:
    """One model: its class, its name and its folder."""

    category: str
    name: str
    path: Path

    def files(self, stems: Sequence[str]) -> tuple[Path, ...]:
        """The .npz files of the first of `stems` that exists: <stem>.npz, or all of <stem>/<stem>_XX.npz in order.

        Raises ValueError, naming the model, where none does.
        """
        for stem in stems:
            single = self.path / f"{stem}.npz"
            if single.is_file():
                return (single,)
            several = (self.path / stem).glob(f"{stem}_[0-9]*.npz")
            ordered = tuple(sorted(several, key=lambda file: (len(file.name), file.name)))  # 10 comes after 9
            if ordered:
                return ordered
        wanted = " or ".join(f"{stem}.npz or {stem}/{stem}_00.npz" for stem in stems)
        found = "no such folder" if not self.path.is_dir() else ", ".join(_listing(self.path)) or "an empty folder"
        raise ValueError(f"{self.path}: expected {wanted}, found {found}; complete the model or take it off its list")


def _listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())[:6]


def find_categories(root: Path) -> tuple[str, ...]:
    """The class folders of a data set, sorted.  Raises ValueError where there are none."""
    if not root.is_dir():
        raise ValueError(f"{root}: expected the folder of a data set (<class>/<model>/...), found none; check the path")
    found = tuple(sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if not found:
        raise ValueError(f"{root}: expected folders of classes, found none; check the path")
    return found


def find_models(root: Path, split: str | None = None, categories: Iterable[str] | None = None) -> list[ModelFolder]:
    """The models of a split, class after class in the order of the lists; split None: every folder, sorted.

    Raises ValueError where a class or its list is missing, or a list names something that is no folder's name.
    """
    known = find_categories(root)
    models = []
    for category in known if categories is None else categories:
        if category not in known:
            raise ValueError(f"{root}: expected a class of {', '.join(known)}, found {category!r}; name one of these")
        folder = root / category
        if split is None:
            names = sorted(
                entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
            )
        else:
            names = read_split(folder / f"{split}.lst")
        models += [ModelFolder(category, name, folder / name) for name in names]
    if not models:
        raise ValueError(f"{root}: expected models in the split {split!r}, found none; check the lists <class>/*.lst")
    return models


def read_split(path: Path) -> list[str]:
    """The names in a .lst file, one per line; empty lines count nothing.

    Raises ValueError for a missing file, and for names that would leave the class folder.
    """
    if not path.is_file():
        lists = sorted(entry.name for entry in path.parent.glob("*.lst"))
        raise ValueError(
            f"{path}: expected the list of a split, found {', '.join(lists) or 'no list in that folder'}; "
            "name another split or make the list"
        )
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise ValueError(f"{path}: expected a list of names, found {path.stat().st_size} bytes; check the file")
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected names in UTF-8, found other bytes; check the file") from error
    _require_names(path, names)
    return names


def _require_names(path: Path, names: Sequence[str]) -> None:
    for name in names:
        one_line = name.strip().lstrip("\ufeff") == name and len(name.splitlines()) == 1
        if not one_line or not _NAME.fullmatch(name) or name in (".", ".."):
            raise ValueError(f"{path}: expected names of folders beside it, found {name[:80]!r}; correct the list")


def write_split(folder: Path, split: str, names: Sequence[str]) -> None:
    """Write <folder>/<split>.lst, one name per line, without a newline at the end, as the papers' files are.

    Raises ValueError for names that could not be read back.
    """
    _require_names(folder / f"{split}.lst", names)
    with atomic_path(folder / f"{split}.lst") as temporary:
        temporary.write_text("\n".join(names), encoding="utf-8")


def read_metadata(root: Path) -> dict[str, str]:
    """Readable names of the classes, from metadata.yaml; those without one are called by their folder.

    Raises ValueError where the file is no mapping of classes.
    """
    path = root / METADATA
    names = {category: category for category in find_categories(root)}
    if not path.is_file():
        return names
    if path.stat().st_size > _MAX_LIST_BYTES:
        raise ValueError(f"{path}: expected names of classes, found {path.stat().st_size} bytes; check the file")
    try:
        entries = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except ValueError as error:  # also for other bytes than UTF-8
        raise ValueError(f"{path}: expected YAML, found something else; correct or remove the file") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ValueError(
            f"{path}: expected a mapping of classes, each with id and name, found no such; correct or remove the file"
        )
    names.update({str(category): one_line(str(entry.get("name", category))) for category, entry in entries.items()})
    return names


def write_metadata(root: Path, names: Mapping[str, str]) -> None:
    """Write metadata.yaml: for each class its id (the folder) and a readable name."""
    entries = {category: {"id": category, "name": name} for category, name in names.items()}
    with atomic_path(root / METADATA) as temporary:
        temporary.write_text(yaml.safe_dump(entries, sort_keys=True), encoding="utf-8")
