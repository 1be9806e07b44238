"""One's own meshes as a data set that networks are trained on: surfaces, queries with their truth, and lists."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.coincidence import first_of_each_place
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.convonet.samples import (
    OccupancySamples,
    SurfaceSamples,
    write_occupancy,
    write_surface,
)
from sparse_convonet.data.sets.model_set import ModelJob, share_out, write_models
from sparse_convonet.data.sets.official_splits import SPLITS
from sparse_convonet.data.sets.shapenet import RawModel
from sparse_convonet.data.sets.watertight import RESOLUTION, wrap
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.mesh.surface_sampling import sample_faces
from sparse_convonet.mesh.winding import WindingNumbers
from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.structures import Mesh

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
_HALF_PADDED = 0.55  # queries fill the cube and a padding around it, as in Occupancy Networks' preparation
_LEAST_MODELS = len(SPLITS)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sampling:
    """points: on each surface.  queries: in points.npz, for training, and as many others in points_iou.npz.

    up: the axis of the meshes that points up.  seed: of everything that is drawn.
    """

    points: int = 100_000
    queries: int = 100_000
    up: str = "y"
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.points, self.queries) < 1:
            raise ValueError(f"expected at least one point and query, found {self.points} and {self.queries}")
        up_rotation(self.up)  # refuses other axes


@dataclass(frozen=True)
class MeshJob(ModelJob):
    """title: the name of the model, that of its file."""

    title: str
    path: Path

    @property
    def name(self) -> str:
        return self.title


def mesh_jobs(models: Sequence[RawModel], seed: int) -> list[MeshJob]:
    """A job for each model and split that it is in: 80 % for training, at least one for validation and for testing.

    The splits of a class are drawn by the names of its models, whatever else is there.  Of fewer than three models all
    are in all splits, which is logged: scores then say how well they were learned by heart.
    """
    jobs: list[MeshJob] = []
    for category in dict.fromkeys(model.category for model in models):
        own = [model for model in models if model.category == category]
        own.sort(key=lambda model: (zlib.crc32(f"{seed} {model.name}".encode()), model.name))
        if len(own) < _LEAST_MODELS:
            logger.warning("%s: %d models, fewer than splits: all are in each of them", category, len(own))
            splits = [(split, model) for split in SPLITS for model in own]
        else:
            counts = share_out(len(own), SHARES)
            held = {split: max(1, counts[split]) for split in SPLITS[1:]}
            kinds = [split for split, count in held.items() for _ in range(count)]
            splits = list(zip(kinds + ["train"] * (len(own) - len(kinds)), own, strict=True))
        jobs += [
            MeshJob(category, split, number, model.name, model.path)
            for number, (split, model) in enumerate(sorted(splits, key=lambda each: each[1].name))
        ]
    return jobs


def make_mesh_set(
    jobs: Sequence[MeshJob],
    out: Path,
    sampling: Sampling,
    *,
    workers: int = 1,
    finished: Callable[[int], None] = lambda count: None,
) -> int:
    """Write <out>/<class>/<name>/ with pointcloud.npz, points.npz and points_iou.npz, and the lists; how many were new.

    jobs: of mesh_jobs.

    Each mesh fills the unit cube with its longest side, y up; what it was scaled by is not kept, as in the papers' sets.
    One that is not closed becomes the closed surface around it, see watertight.wrap.
    finished: called with numbers of models, first with those that were there.  Raises ValueError for a folder that holds
    something else, for meshes that cannot be used, and where libigl is missing.
    """
    require_package("igl", "data", "knowing what is inside a mesh")
    recipe = {
        "kind": "meshes",
        "models": [f"{job.split} {job.category}/{job.path.name}" for job in jobs],
        "points": sampling.points,
        "queries": sampling.queries,
        "up": sampling.up,
        "seed": sampling.seed,
    }
    names = {job.category: job.category for job in jobs}
    return write_models(
        out, jobs, partial(write_mesh_model, sampling), recipe=recipe, class_names=names, workers=workers,
        finished=finished,
    )  # fmt: skip


def write_mesh_model(sampling: Sampling, job: ModelJob, folder: Path) -> None:
    """Fill the folder of one model.  Raises ValueError, naming the file, where it cannot be used."""
    assert isinstance(job, MeshJob)
    try:
        mesh = in_unit_cube(read_mesh(job.path), sampling.up)
        mesh = closed(mesh, job.path)
    except ValueError as error:
        raise ValueError(str(error) if str(job.path) in str(error) else f"{job.path}: {error}") from error
    rng = np.random.default_rng((sampling.seed, zlib.crc32(f"{job.category}/{job.title}".encode())))
    surface = sample_faces(mesh, sampling.points, rng)
    write_surface(folder / "pointcloud.npz", SurfaceSamples(surface.points, surface.normals))
    inside = WindingNumbers(mesh.vertices, mesh.faces)
    for name in ("points", "points_iou"):
        # Rounded as the file rounds them, so that their truth is that of the places that stand there.
        queries = rng.uniform(-_HALF_PADDED, _HALF_PADDED, (sampling.queries, 3)).astype(np.float16)
        occupied = inside.occupied(queries.astype(np.float64))
        write_occupancy(folder / f"{name}.npz", OccupancySamples(queries, occupied))


def in_unit_cube(mesh: Mesh, up: str) -> Mesh:
    """The mesh with y up, its box around the origin, the longest side 1.  Raises ValueError where it has no extent."""
    vertices = mesh.vertices @ up_rotation(up).T @ up_rotation("y")
    corners = vertices[mesh.faces].reshape(-1, 3)
    if len(corners) == 0 or not np.isfinite(corners).all():
        raise ValueError("expected a mesh of finite vertices with faces, found none; repair it")
    low, high = corners.min(axis=0), corners.max(axis=0)
    longest = float((high - low).max())
    if longest == 0:
        raise ValueError("expected a mesh with an extent, found all its vertices in one point")
    return Mesh((vertices - (low + high) / 2) / longest, mesh.faces)


def closed(mesh: Mesh, path: Path) -> Mesh:
    """The mesh, faces counter-clockwise from outside, or, where it has open edges, the closed surface around it."""
    kept, place = first_of_each_place(mesh.vertices)  # files repeat vertices along seams
    solid = Mesh(mesh.vertices[kept], place[mesh.faces]).to_trimesh()
    if not (solid.is_watertight and solid.is_winding_consistent):
        logger.warning(
            "%s: not closed, so the closed surface around it is taken, a cell of 1/%d away", path, RESOLUTION
        )
        wrapped = wrap(mesh.vertices, mesh.faces)
        return in_unit_cube(wrapped.mesh, "y")
    faces = np.asarray(solid.faces, dtype=np.int64)
    return Mesh(np.asarray(solid.vertices), faces if solid.volume >= 0 else faces[:, ::-1])
