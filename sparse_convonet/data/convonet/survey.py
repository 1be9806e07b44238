"""What a folder of models holds: how many are there, how many can be read, and what their samples look like.

Counts are of all models; whatever needs reading is measured on a random choice of them, one file of each kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.layout import OCCUPANCY, SURFACE, ModelFolder, read_split
from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples, read_occupancy, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.convonet.surface_measures import local_measures, quantisation_step

MAX_MODELS_READ = 200
_USUAL_SPLITS = ("train", "val", "test")  # the order in which they are listed
_DEEPEST = 4  # levels of folders searched for models where there are no lists


@dataclass(frozen=True)
class ModelGroup:
    """The models of one class that one list names; split None: those found without a list.

    unreadable_list: why the list could not be read, where it could not.
    """

    category: str
    split: str | None
    models: tuple[ModelFolder, ...]
    unreadable_list: str | None = None


@dataclass(frozen=True)
class ModelData:
    """One surface file and one occupancy file of a model, as far as it has them, and its place in the world."""

    model: ModelFolder
    surface: SurfaceSamples
    occupancy: OccupancySamples | None
    frame: UnitFrame | None


@dataclass(frozen=True)
class ModelMeasures:
    """What was measured on the files of one model; lengths in the unit cube.

    read_from: the files of points and of queries.  files: how many there are of each.  bounds_unit: (2, 3).
    density: points per area; noise: deviation across the surface (see local_measures for both); NaN for too few
    points.  step: see quantisation_step.  normal_lengths: least and largest.  labels, query_labels: how many points,
    and queries inside, there are of each semantic class.  occupied: share of queries.
    """

    model: ModelFolder
    read_from: tuple[Path, Path | None]
    frame: UnitFrame | None
    files: tuple[int, int]
    points: int
    point_type: str
    bounds_unit: np.ndarray
    density: float
    noise: float
    step: float
    normal_lengths: tuple[float, float] | None
    labels: dict[int, int]
    queries: int | None
    query_type: str | None
    occupied: float | None
    query_labels: dict[int, int]


@dataclass(frozen=True)
class GroupSurvey:
    """present: models with files of points.  with_occupancy: those with queries too.  checked: models that were read.

    broken: name and reason, of the models without files, and of those read that are damaged.
    """

    group: ModelGroup
    present: int
    with_occupancy: int
    checked: int
    measures: tuple[ModelMeasures, ...]
    broken: tuple[tuple[str, str], ...]


def find_groups(path: Path, split: str | None = None, categories: Sequence[str] | None = None) -> list[ModelGroup]:
    """The models of a data set, of one class, of any folder that holds models, or of one model's own folder.

    Raises ValueError for a path without models, and for a split or class that is not there.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing"
        raise ValueError(f"{path}: expected the folder of a data set or of a model, found {found}; check the path")
    if _is_model(path):
        category = path.resolve().parent.name
        groups = [ModelGroup(category, None, (ModelFolder(category, path.resolve().name, path),))]
    else:
        listed = [folder for folder in (path, *_subfolders(path)) if any(folder.glob("*.lst"))]
        groups = [group for folder in listed for group in _listed_groups(folder)] or _searched_groups(path)
    if not groups:
        raise ValueError(f"{path}: expected folders of models (pointcloud.npz, ...) or their lists, found neither")
    for name, wanted, known in (
        ("class", categories, [group.category for group in groups]),
        ("split", None if split is None else [split], [group.split for group in groups if group.split]),
    ):
        for each in wanted or ():
            if each not in known:
                names = ", ".join(dict.fromkeys(known)) or "none"
                raise ValueError(f"{path}: expected a {name} of: {names}, found {each!r}; choose one of these")
    return [
        group
        for group in groups
        if (split is None or group.split == split) and (categories is None or group.category in categories)
    ]


def _is_model(folder: Path) -> bool:
    stems = (*SURFACE, *OCCUPANCY)
    return any((folder / f"{stem}.npz").is_file() or any((folder / stem).glob(f"{stem}_*.npz")) for stem in stems)


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [folder / name for name in sorted(entry.name for entry in entries if entry.is_dir()) if name[0] != "."]


def _listed_groups(folder: Path) -> list[ModelGroup]:
    """A group for each list of a class, and one for the models in none of them."""
    category = folder.resolve().name
    splits = [path.stem for path in sorted(folder.glob("*.lst"))]
    splits.sort(key=lambda split: _USUAL_SPLITS.index(split) if split in _USUAL_SPLITS else len(_USUAL_SPLITS))
    groups, named = [], set()
    for split in splits:
        try:
            names = read_split(folder / f"{split}.lst")
        except (ValueError, OSError) as error:
            groups.append(ModelGroup(category, split, (), str(error)))
            continue
        named.update(names)
        groups.append(ModelGroup(category, split, tuple(ModelFolder(category, name, folder / name) for name in names)))
    spare = [path for path in _subfolders(folder) if path.name not in named and _is_model(path)]
    if spare:
        groups.append(ModelGroup(category, None, tuple(ModelFolder(category, path.name, path) for path in spare)))
    return groups


def _searched_groups(root: Path) -> list[ModelGroup]:
    """Models in the folders below, by the folder that they lie in."""
    found: dict[Path, list[Path]] = {}
    level = [root]
    for _ in range(_DEEPEST):
        below = [path for folder in level for path in _subfolders(folder)]
        level = []
        for path in below:
            if _is_model(path):
                found.setdefault(path.parent, []).append(path)
            else:
                level.append(path)
    return [
        ModelGroup(_category(root, parent), None, tuple(ModelFolder(parent.name, path.name, path) for path in paths))
        for parent, paths in found.items()
    ]


def _category(root: Path, parent: Path) -> str:
    return root.resolve().name if parent == root else parent.relative_to(root).as_posix()


def read_model(model: ModelFolder, surface: Path, occupancy: Path | None) -> ModelData:
    """A surface file, an occupancy file and the frame of a model.  Raises ValueError or OSError where broken."""
    queries = None if occupancy is None else read_occupancy(occupancy)
    return ModelData(model, read_surface(surface), queries, read_frame(model.path))


def _choose_files(model: ModelFolder, rng: np.random.Generator) -> tuple[Path, Path | None]:
    surface, occupancy = model.files(SURFACE), _files(model, OCCUPANCY)
    first = surface[int(rng.integers(len(surface)))]
    return first, occupancy[int(rng.integers(len(occupancy)))] if occupancy else None


def _files(model: ModelFolder, stems: tuple[str, ...]) -> tuple[Path, ...]:
    try:
        return model.files(stems)
    except ValueError:
        return ()


def survey_groups(
    groups: Iterable[ModelGroup], seed: int = 0, limit: int = MAX_MODELS_READ, read: Callable[[], object] = lambda: None
) -> list[GroupSurvey]:
    """Count all models and measure about `limit` of them, at least one per group.  read: called after each of these.

    The same folder and seed give the same result.
    """
    groups = list(groups)
    share = max(1, limit // max(1, len(groups)))
    return [_survey(group, share, np.random.default_rng([seed, number]), read) for number, group in enumerate(groups)]


def _survey(group: ModelGroup, limit: int, rng: np.random.Generator, read: Callable[[], object]) -> GroupSurvey:
    broken: list[tuple[str, str]] = []
    if group.unreadable_list:
        broken.append((f"{group.split}.lst", group.unreadable_list))
    with_surface = [model for model in group.models if _files(model, SURFACE)]
    with_queries = {model.path for model in with_surface if _files(model, OCCUPANCY)}
    # A set of surfaces alone is one; a model without queries among others with them is not complete.
    complete = [model for model in with_surface if not with_queries or model.path in with_queries]
    sound = {model.path for model in complete}
    for model in group.models:
        if model.path not in sound:
            broken.append((model.name, _missing(model)))
    chosen = rng.permutation(len(complete))[:limit]
    measures = []
    for index in np.sort(chosen):
        model = complete[int(index)]
        try:
            chosen_files = _choose_files(model, rng)
            measures.append(_measure(read_model(model, *chosen_files), chosen_files, rng))
        except (ValueError, OSError) as error:
            broken.append((model.name, str(error)))
        read()
    return GroupSurvey(group, len(with_surface), len(with_queries), len(chosen), tuple(measures), tuple(broken))


def _missing(model: ModelFolder) -> str:
    for stems in (SURFACE, OCCUPANCY):
        try:
            model.files(stems)
        except ValueError as error:
            return str(error)
    return f"{model.path}: incomplete"


def _measure(data: ModelData, read_from: tuple[Path, Path | None], rng: np.random.Generator) -> ModelMeasures:
    points = data.surface.points_unit
    local = local_measures(points.astype(np.float32), data.surface.normals, rng)
    lengths = None if data.surface.normals is None else np.linalg.norm(data.surface.normals.astype(np.float64), axis=1)
    occupancy = data.occupancy
    return ModelMeasures(
        data.model,
        read_from,
        data.frame,
        (len(_files(data.model, SURFACE)), len(_files(data.model, OCCUPANCY))),
        len(points),
        str(points.dtype),
        np.stack([points.min(axis=0), points.max(axis=0)]).astype(np.float64),
        local.density,
        local.noise,
        quantisation_step(points),
        None if lengths is None else (float(lengths.min()), float(lengths.max())),
        _count(data.surface.semantics),
        None if occupancy is None else len(occupancy),
        None if occupancy is None else str(occupancy.points_unit.dtype),
        None if occupancy is None else float(occupancy.occupied.mean()),
        _count(None if occupancy is None or occupancy.semantics is None else occupancy.semantics[occupancy.occupied]),
    )


def _count(labels: np.ndarray | None) -> dict[int, int]:
    if labels is None:
        return {}
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}
