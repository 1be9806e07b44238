"""Models of a data set made from scans, each written whole or not at all, so that a stopped run can be taken up again."""

from __future__ import annotations

import json
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.layout import (
    METADATA,
    SURFACE,
    read_metadata,
    read_split,
    write_metadata,
    write_split,
)
from sparse_convonet.data.convonet.samples import SurfaceSamples, write_surface
from sparse_convonet.data.convonet.sidecar import FRAME_FILE, write_frame
from sparse_convonet.data.sets.official_splits import SPLITS
from sparse_convonet.data.sets.scan_surface import Drawing, Surface, draw_surface
from sparse_convonet.runtime.atomic import atomic_folder, atomic_path, remove_unfinished

SOURCE_FILE = "source.json"  # in each model: what it was made from, and how

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedModel:
    """A model to be made.  origin: what else decides its content (file, alignment, ...), kept in source.json.

    split: the list its name goes on, None: none.  load: reads the scan; ValueError and OSError say that it is broken.
    """

    name: str
    split: str | None
    drawing: Drawing
    load: Callable[[], Surface]
    origin: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""
        return {**self.origin, **vars(self.drawing)}


@dataclass
class Outcome:
    """written: models made now.  kept: that were there.  broken: scans that could not be used, and why.

    remarks: how many models share each remark.  listed: names on each list, of earlier runs too.  unlisted: models on
    no list.
    """

    written: int = 0
    kept: int = 0
    broken: dict[str, str] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    listed: dict[str, int] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The same in words, one fact a line."""
        found = [f"{self.written} models written, {self.kept} were there"]
        found += [f"{count} of them: {remark}" for remark, count in sorted(self.remarks.items())]
        found.append("lists: " + ", ".join(f"{split} {count}" for split, count in self.listed.items()))
        if self.unlisted:
            found.append(f"{len(self.unlisted)} on no official list, and so on none here: {_some(self.unlisted)}")
        if self.broken:
            found.append(f"{len(self.broken)} broken scans left out: {_some(list(self.broken))}")
        return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (" ..." if len(names) > 10 else "")


def read_or_skip(name: str, read: Callable[[], T], broken: dict[str, str], *, skip_broken: bool) -> T | None:
    """What `read` gives; where it raises ValueError or OSError: None and an entry in `broken`, if that is wanted."""
    try:
        return read()
    except (ValueError, OSError) as error:
        sentence = str(error) if name in str(error) else f"{name}: {error}"
        if not skip_broken:
            raise ValueError(f"{sentence}; or leave such scans out with --skip-broken") from error
        broken[name] = sentence
        logger.warning("skipped %s", sentence)
        return None


def require_apart(scans: Path, out: Path) -> None:
    """Raise ValueError where the data set would lie among the scans, and be taken for one of them next time."""
    if out.resolve().is_relative_to(scans.resolve()):
        raise ValueError(f"{out}: expected a folder outside {scans}, found one in it; name another --out")


def prepare_models(
    root: Path,
    category: str,
    title: str,
    models: Sequence[PreparedModel],
    *,
    broken: dict[str, str] | None = None,
    overwrite: bool = False,
    skip_broken: bool = False,
    finished: Callable[[int], None] = lambda count: None,
) -> Outcome:
    """Make every model that is not finished yet in <root>/<category>, then the lists of the splits and metadata.yaml.

    title: readable name of the class.  broken: scans that are known to be broken already.  finished: called with
    numbers of models.  Names on lists of earlier runs stay while their models do.
    Raises ValueError for models that others made or other settings (unless overwrite), and where none can be used.
    """
    none_usable = f"{root}: expected at least one scan that can be used, found none; see what was said above"
    if not models:
        raise ValueError(none_usable)
    folder = root / category
    outcome = Outcome(broken=dict(broken or {}))
    remove_unfinished(folder, below=False)  # brings models back that a killed run was replacing
    missing = [model for model in models if overwrite or not _is_finished(folder, model)]
    for model in missing:
        _require_ours(folder / model.name)
    folder.mkdir(parents=True, exist_ok=True)
    finished(len(models) - len(missing))
    for model in missing:
        outcome.written += _make(folder, model, outcome.broken, skip_broken)
        finished(1)
    usable = [model for model in models if model.name not in outcome.broken]
    if not usable:
        raise ValueError(none_usable)
    outcome.kept = len(usable) - outcome.written
    for model in usable:
        outcome.remarks.update(_read_source(folder / model.name)["remarks"])
    outcome.unlisted = [model.name for model in usable if model.split is None]
    outcome.listed = _write_lists(folder, models, usable)
    names = read_metadata(root)
    if not (root / METADATA).is_file() or names[category] != title:
        write_metadata(root, {**names, category: title})
    return outcome


def _is_finished(folder: Path, model: PreparedModel) -> bool:
    """Whether all files are there.  Raises ValueError where they were made with other settings."""
    path = folder / model.name
    if not (path / SOURCE_FILE).is_file():
        return False
    found, wanted = _read_source(path)["settings"], model.settings()
    if found != wanted:
        different = [name for name in wanted if found.get(name) != wanted[name]]
        raise ValueError(
            f"{path}: was made with other settings ({', '.join(different) or 'more of them'}); "
            "repeat those, add --overwrite, or name another folder"
        )
    return all((path / name).is_file() for name in _files(model.drawing))


def _read_source(model: Path) -> dict[str, Any]:
    """settings: what the model was made with.  remarks: those of its surface."""
    path = model / SOURCE_FILE
    try:
        source = json.loads(path.read_text(encoding="utf-8"))
        settings, remarks = dict(source["settings"]), [str(remark) for remark in source["remarks"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: damaged; add --overwrite to make the model again") from error
    return {"settings": settings, "remarks": remarks}


def _files(drawing: Drawing) -> list[str]:
    stem = SURFACE[0]
    several = [f"{stem}/{stem}_{file:02d}.npz" for file in range(drawing.files)]
    return [*(several if drawing.files > 1 else [f"{stem}.npz"]), *([FRAME_FILE] if drawing.metres else [])]


def _require_ours(path: Path) -> None:
    if path.exists() and not (path / SOURCE_FILE).is_file():
        raise ValueError(f"{path}: exists and was not made here (no {SOURCE_FILE}); move it or name another folder")


def _make(folder: Path, model: PreparedModel, broken: dict[str, str], skip_broken: bool) -> bool:
    """Write the folder of a model; False where the scan is broken and left out."""

    def read() -> tuple[Surface, UnitFrame, list[SurfaceSamples]]:
        surface = model.load()
        frame = UnitFrame.around(surface.bounds())
        key = zlib.crc32(model.name.encode("utf-8"))
        seeds = [(model.drawing.seed, key, file) for file in range(model.drawing.files)]
        draws = [draw_surface(surface, frame, model.drawing.points, np.random.default_rng(seed)) for seed in seeds]
        return surface, frame, draws

    found = read_or_skip(model.name, read, broken, skip_broken=skip_broken)
    if found is None:
        return False
    surface, frame, draws = found
    with atomic_folder(folder / model.name) as partial:
        for name, samples in zip(_files(model.drawing), draws, strict=False):
            (partial / name).parent.mkdir(exist_ok=True)
            write_surface(partial / name, samples, model.drawing.precision)
        if model.drawing.metres:
            write_frame(partial, frame)
        source = {"settings": model.settings(), "remarks": list(surface.remarks)}
        with atomic_path(partial / SOURCE_FILE) as temporary:
            temporary.write_text(json.dumps(source, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return True


def _write_lists(folder: Path, models: Sequence[PreparedModel], usable: Sequence[PreparedModel]) -> dict[str, int]:
    ours = {model.name for model in models}
    listed = {}
    for split in SPLITS:
        path = folder / f"{split}.lst"
        earlier = read_split(path) if path.is_file() else []
        kept = [name for name in earlier if name not in ours and (folder / name).is_dir()]
        names = sorted({*kept, *(model.name for model in usable if model.split == split)})
        if names or path.is_file() or any(model.split != "test" for model in models):
            write_split(folder, split, names)
            listed[split] = len(names)
    return listed
