"""Wrap triangle soups in closed surfaces, as the models of ShapeNet need it before anything can be inside them.

Made is the surface at a distance of one cell around the soup, of which only what can be reached from outside is kept:
unsigned distances on a grid, a flood fill, marching cubes.  So does mesh2sdf (Wang et al., Dual Octree Graph
Networks, SIGGRAPH 2022, MIT).  We do it ourselves because mesh2sdf needs a compiler, takes ten times as long (10 s
against 1 s per piece of furniture at resolution 128, one core) and keeps a single connected part of each model.
Alpha wrapping (Portaneri et al., SIGGRAPH 2022) would come nearer to the soup; CGAL's is under the GPL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from sparse_convonet.cluster.worker_pool import run_jobs
from sparse_convonet.data.furniture.solidify import surface_voxels
from sparse_convonet.data.sets.shapenet import WATERTIGHT_FOLDER, RawModel
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.runtime.atomic import atomic_path, remove_unfinished
from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.structures import Mesh

RESOLUTION = 128
RESOLUTIONS = (16, 512)  # at the highest a model takes up to 4 GB
# From a soup to the surface around it, in cells.  Below 0.87, half a cell's diagonal, thin parts would fall apart.
OFFSET_CELLS = 1.0
# Between two nodes interpolation is off by half a cell at most, since distances have no slope above 1; the few
# vertices that marching cubes sets within a cell may be off by more.
FARTHEST_CELLS = OFFSET_CELLS + 1.0
RECIPE_FILE = "watertight.json"

_MARGIN = 4  # nodes on each side of the model: the offset, one beyond it, and a border that is surely outside
_BAND = 3  # voxels around the surface in which distances are computed: 2 for nodes next to the offset, 1 for sampling
_LEAST_STEP = 1e-4  # cells; keeps the vertices that marching cubes makes on different edges of a node apart
_LEAST_HEIGHT = 1e-6  # of triangles, cells


@dataclass(frozen=True)
class Wrapped:
    """A closed surface in the frame of its soup, faces counter-clockwise from outside.

    farthest: the largest distance of its vertices from the soup, in the soup's unit.
    """

    mesh: Mesh
    farthest: float


def wrap(vertices: np.ndarray, faces: np.ndarray, resolution: int = RESOLUTION) -> Wrapped:
    """The closed surface around a triangle soup; gaps up to two cells wide are closed, enclosed cavities filled.

    vertices: (V, 3) float64, any unit.  faces: (F, 3) int, in any orientation.  resolution: cells along the longest
    side.  No vertex lies farther than FARTHEST_CELLS from the soup, and all of the soup within the surface.
    Raises ValueError for a soup that is empty, not finite or a single point.
    """
    _require_resolution(resolution)
    if len(faces) == 0:
        raise ValueError("expected a mesh with faces, found none")
    corners = np.asarray(vertices, dtype=np.float64)[faces]  # (F, 3, 3)
    if not np.isfinite(corners).all():
        raise ValueError("expected vertices that are finite numbers, found others; repair the mesh")
    low, size = corners.min(axis=(0, 1)), np.ptp(corners, axis=(0, 1))
    cell = float(size.max()) / resolution
    if cell <= 0.0:
        raise ValueError("expected a mesh with an extent, found all its vertices in one point")
    # The middle of the model is that of the grid.  The sides of its box then lie between nodes, and the surface a cell
    # outside of them does too: on the nodes, rounding would decide what is inside.
    counts = np.ceil(size / cell - 1e-9).astype(int) + 2 * _MARGIN
    origin = low + size / 2 - (counts - 1) / 2 * cell
    soup = _without_slivers((corners - origin) / cell)  # in cells; node (i, j, k) lies at that place
    distance = _distance_field(soup, (int(counts[0]), int(counts[1]), int(counts[2])))
    points, triangles, _, _ = marching_cubes(_signed(distance), 0.0, gradient_direction="descent")
    mesh = Mesh(points.astype(np.float64) * cell + origin, triangles.astype(np.int64))
    _require_closed(mesh)
    farthest_cells = float(_distances(soup, points).max())
    if farthest_cells > FARTHEST_CELLS:
        raise ValueError(
            f"expected a surface within {FARTHEST_CELLS:g} cells of the model, found {farthest_cells:.2f}; "
            "try another --resolution"
        )
    return Wrapped(mesh, farthest_cells * cell)


def _require_resolution(resolution: int) -> None:
    if not RESOLUTIONS[0] <= resolution <= RESOLUTIONS[1]:
        raise ValueError(f"resolution: expected {RESOLUTIONS[0]} to {RESOLUTIONS[1]}, found {resolution}")


def _libigl() -> ModuleType:
    return require_package("igl", "data", "making meshes watertight")


def _distance_field(soup: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Distances (X, Y, Z) float32 of all nodes from triangles (F, 3, 3), in cells; far from them just a large one."""
    voxels = surface_voxels(soup + 0.5, shape)  # node i is the middle of voxel i
    band = ndimage.binary_dilation(voxels, np.ones((3, 3, 3)), iterations=_BAND)
    distance = np.full(shape, 2.0 * OFFSET_CELLS, dtype=np.float32)
    distance[band] = _distances(soup, np.argwhere(band))
    return distance


def _distances(soup: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(Q,) float64 distances of points (Q, 3) from triangles (F, 3, 3), in one unit.

    By libigl, whose doubles get long slivers right; open3d's single precision is off by whole cells there.
    """
    numbers = np.arange(len(soup) * 3).reshape(-1, 3)
    corners = np.ascontiguousarray(soup.reshape(-1, 3))
    return np.sqrt(_libigl().point_mesh_squared_distance(points.astype(np.float64), corners, numbers)[0])


def _without_slivers(soup: np.ndarray) -> np.ndarray:
    """The same triangles (F, 3, 3), in cells; those without a height become their longest edge, its end twice.

    No distance from a triangle whose corners lie in one line is to be relied on, be they three places.
    """
    edges = np.roll(soup, -1, axis=1) - soup  # (F, 3, 3), edge i from corner i to the next
    lengths = np.linalg.norm(edges, axis=2)
    double_areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    rows = np.flatnonzero(double_areas <= _LEAST_HEIGHT * lengths.max(axis=1))
    start = lengths[rows].argmax(axis=1)
    end = (start + 1) % 3
    result = soup.copy()
    result[rows] = np.stack([soup[rows, start], soup[rows, end], soup[rows, end]], axis=1)
    return result


def _signed(distance: np.ndarray) -> np.ndarray:
    """Signed distances (X, Y, Z) from the offset surface: positive only where a path leads to the border."""
    signed = distance - np.float32(OFFSET_CELLS)
    labels, _ = ndimage.label(signed > 0)
    signed[(signed > 0) & (labels != labels[0, 0, 0])] *= -1
    near = np.abs(signed) < _LEAST_STEP
    signed[near] = np.where(signed[near] > 0, _LEAST_STEP, -_LEAST_STEP)
    return signed


def _require_closed(mesh: Mesh) -> None:
    """A check of marching cubes; raises ValueError where an edge is not between two faces that agree, or inside out."""
    surface = mesh.to_trimesh()
    if not (surface.is_watertight and surface.is_winding_consistent and surface.volume > 0):
        raise ValueError("the surface around it did not come out closed; try another --resolution")


@dataclass
class Outcome:
    """written: models made now, with their farthest vertex in the model's unit and in parts of its longest side.

    kept: models that were there.  broken: models that could not be used, and why.
    """

    written: dict[str, tuple[float, float]] = field(default_factory=dict)
    kept: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The same in words, one fact a line."""
        found = [f"{len(self.written)} models written, {self.kept} were there"]
        if self.written:
            unit, share = (max(self.written, key=lambda name: self.written[name][column]) for column in (0, 1))
            found.append(
                f"farthest from the input surface: {self.written[unit][0]:.4g} units in {unit}, "
                f"{100 * self.written[share][1]:.2f} % of the longest side in {share}"
            )
        if self.broken:
            found.append(f"{len(self.broken)} broken models left out: {', '.join(self.broken)}")
        return found


def make_watertight(
    models: Sequence[RawModel],
    out: Path,
    *,
    resolution: int = RESOLUTION,
    workers: int = 1,
    overwrite: bool = False,
    skip_broken: bool = False,
    finished: Callable[[int], None] = lambda count: None,
) -> Outcome:
    """Write <out>/<class>/2_watertight/<name>.off for every model that is not there yet.

    finished: called with numbers of models, first with those that were there.  Raises ValueError for a folder that
    was begun with another resolution (unless overwrite) and for a model that cannot be used (unless skip_broken).
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, found {workers}")
    _require_resolution(resolution)
    _libigl()  # what is wrong with all models is no reason to skip each of them
    targets = [out / model.category / WATERTIGHT_FOLDER / f"{model.name}.off" for model in models]
    same = _is_same_recipe(out, resolution, overwrite)
    missing = [
        (model, target, resolution)
        for model, target in zip(models, targets, strict=True)
        if overwrite or not target.is_file()
    ]
    for folder in {target.parent for _, target, _ in missing}:
        folder.mkdir(parents=True, exist_ok=True)
        remove_unfinished(folder, below=False)
    _write_recipe(out, _recipe(resolution) if same or not overwrite else _replacing(resolution))
    outcome = Outcome(kept=len(models) - len(missing))
    finished(outcome.kept)
    with closing(
        run_jobs(_convert, missing, workers)
    ) as results:  # else an error would wait for all models that are queued
        for (model, _, _), result in zip(missing, results, strict=True):
            if isinstance(result, str):
                if not skip_broken:
                    raise ValueError(f"{result}; or leave such models out with --skip-broken")
                outcome.broken[model.title] = result
            else:
                outcome.written[model.title] = result
            finished(1)
    _write_recipe(out, _recipe(resolution))
    return outcome


def _recipe(resolution: int) -> str:
    return json.dumps({"offset_cells": OFFSET_CELLS, "resolution": resolution}, sort_keys=True) + "\n"


def _replacing(resolution: int) -> str:
    """What stands there as long as models are replaced by others: after a run that stopped, no settings fit them all."""
    return json.dumps({"replacing": json.loads(_recipe(resolution))}, sort_keys=True) + "\n"


def _is_same_recipe(out: Path, resolution: int, overwrite: bool) -> bool:
    path = out / RECIPE_FILE
    found = path.read_text(encoding="utf-8") if path.is_file() else ""
    if found == _recipe(resolution):
        return True
    if not overwrite and found.startswith('{"replacing"'):
        raise ValueError(
            f"{out}: a run with --overwrite was stopped, and models of different settings are in it; "
            "add --overwrite, or name another folder"
        )
    if not overwrite and found:
        raise ValueError(
            f"{out}: was begun with other settings (see {RECIPE_FILE} in it); repeat those, add --overwrite, "
            "or name another folder"
        )
    return False


def _write_recipe(out: Path, text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / RECIPE_FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")


Job = tuple[RawModel, Path, int]


def _convert(job: Job) -> tuple[float, float] | str:
    """Write one model; the farthest distance, in the model's unit and in parts of its longest side, or what is wrong."""
    model, target, resolution = job
    try:
        soup = read_mesh(model.path)
    except (ValueError, OSError) as error:
        return str(error) if str(model.path) in str(error) else f"{model.path}: {error}"
    try:
        wrapped = wrap(soup.vertices, soup.faces, resolution)
    except ValueError as error:
        return f"{model.path}: {error}"
    write_mesh(target, Mesh(wrapped.mesh.vertices, wrapped.mesh.faces))
    longest = float(np.ptp(soup.vertices[soup.faces].reshape(-1, 3), axis=0).max())
    return wrapped.farthest, wrapped.farthest / longest
