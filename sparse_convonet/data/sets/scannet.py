"""The official folders of ScanNet v2 as models of a data set: aligned to the axes, upright, with classes if there are.

<scans>/<id>/<id>_vh_clean_2.ply (or the finer <id>_vh_clean.ply, which the published preparation took), <id>.txt with
the axis alignment, and <id>_vh_clean_2.labels.ply with the NYU40 class of each vertex.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from sparse_convonet.data.sets.official_splits import OfficialSplits
from sparse_convonet.data.sets.prepared import PreparedModel
from sparse_convonet.data.sets.scan_surface import Drawing, Surface
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.ply_format import read_elements
from sparse_convonet.runtime.refusals import unreadable
from sparse_convonet.structures import Mesh

CATEGORY, TITLE = "scenes", "ScanNet v2 scenes"
LISTS = "scannetv2_{}.txt"
NOT_ALIGNED = "no axisAlignment in the .txt, left as they stand"
MeshName = Literal["vh_clean_2", "vh_clean"]

_LAST_CLASS = 40  # of NYU40; 0: not labelled
_FARTHEST_M = 1e6
_RIGID_TOLERANCE = 1e-3  # the files carry six decimals

logger = logging.getLogger(__name__)


def find_scenes(scans: Path) -> list[str]:
    """Names of the scenes' folders, sorted.  Raises ValueError where there are none."""
    if not scans.is_dir():
        raise ValueError(f"{scans}: expected the folder of ScanNet scans (scans/scene0000_00/...), found no folder")
    names = sorted(entry.name for entry in scans.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(f"{scans}: expected folders of scenes (scene0000_00, ...), found none; name the folder scans")
    if "scans" in names and not any((scans / name / f"{name}.txt").is_file() for name in names):
        raise ValueError(f"{scans}: expected folders of scenes, found {', '.join(names[:5])}; name {scans / 'scans'}")
    return names


def scene_models(
    scans: Path, names: Iterable[str], splits: OfficialSplits, drawing: Drawing, mesh: MeshName
) -> list[PreparedModel]:
    """One model per scene."""
    return [
        PreparedModel(
            name=name,
            split=splits.split(name),
            drawing=drawing,
            load=partial(read_scene, scans / name, mesh),
            origin={"kind": "ScanNet v2", "mesh": mesh},
        )
        for name in names
    ]


def read_scene(folder: Path, mesh: MeshName = "vh_clean_2") -> Surface:
    """A scene's mesh, aligned, with the class of each vertex where <id>_<mesh>.labels.ply is there.

    Raises FileNotFoundError or ValueError for a missing mesh, and for damaged files.
    """
    path = folder / f"{folder.name}_{mesh}.ply"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; download the scene again or choose another --mesh")
    found = read_mesh(path)
    alignment = read_alignment(folder / f"{folder.name}.txt")
    if alignment is None:
        logger.info("%s: %s", folder.name, NOT_ALIGNED)
    labels_path = folder / f"{folder.name}_{mesh}.labels.ply"
    labels = read_labels(labels_path, len(found.vertices)) if labels_path.is_file() else None
    remarks = () if alignment is not None else (NOT_ALIGNED,)
    if alignment is not None:
        found = Mesh(found.vertices @ alignment[:3, :3].T + alignment[:3, 3], found.faces)
    return Surface(found, labels, remarks)


def read_alignment(path: Path) -> np.ndarray | None:
    """(4, 4) float64 from the line `axisAlignment = 16 numbers` (rows first); None where there is no such line or file.

    Applied to columns (x, y, z, 1): a turn about the vertical and a shift that puts the floor at z = 0.
    Raises ValueError where the line is something else.
    """
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, words = line.partition("=")
        if key.strip() != "axisAlignment":
            continue
        try:
            matrix = np.array([float(word) for word in words.split()]).reshape(4, 4)
        except ValueError as error:
            raise unreadable(path, "16 numbers after 'axisAlignment ='", repr(words.strip()[:80])) from error
        turn = matrix[:3, :3]
        is_rigid = (
            np.all(np.abs(matrix) < _FARTHEST_M)  # false for NaN
            and np.allclose(turn @ turn.T, np.eye(3), atol=_RIGID_TOLERANCE)
            and np.linalg.det(turn) > 0
            and np.allclose(matrix[3], [0, 0, 0, 1], atol=_RIGID_TOLERANCE)
        )
        if not is_rigid:
            raise unreadable(path, "a turn and a shift after 'axisAlignment ='", repr(words.strip()[:80]))
        return matrix
    return None


def read_labels(path: Path, vertices: int) -> np.ndarray:
    """(V,) int64 NYU40 class of each vertex, 0 to 40, from the property `label`.

    Raises ValueError where there is none, or not one per vertex of the mesh.
    """
    columns = read_elements(path, path.read_bytes()).get("vertex", {})
    labels = columns.get("label")
    if not isinstance(labels, np.ndarray):
        raise unreadable(path, "a property 'label' of each vertex", ", ".join(columns) or "no vertices")
    if len(labels) != vertices:
        raise unreadable(path, f"{vertices} labels, one per vertex of the mesh", f"{len(labels)}")
    # "not" as NaN is neither; whole numbers may be stored as floats.
    if not (labels.min() >= 0 and labels.max() <= _LAST_CLASS and np.array_equal(labels, np.floor(labels))):
        raise unreadable(path, f"NYU40 classes 0 to {_LAST_CLASS}", f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int64)
