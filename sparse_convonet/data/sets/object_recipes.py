"""What is written into the folder of one object: a piece of furniture alone, as ShapeNet's models are in the papers.

Mescheder et al. 2019, supplementary: the object in the middle of the unit cube, its longest side 1, y up; points uniform on
its surface with normals, queries uniform in the padded cube, inside by winding numbers.  Beside them stand the mesh and its
voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.data.convonet.binvox import Voxels, write_binvox
from sparse_convonet.data.convonet.layout import VOXELS
from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples, write_occupancy, write_surface
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.sets.model_set import ModelJob
from sparse_convonet.data.sets.paper_rooms import room_queries
from sparse_convonet.data.sets.shape_stock import PackStock, SolidShape
from sparse_convonet.data.voxelising import voxels_of_mesh
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.mesh.surface_sampling import sample_faces
from sparse_convonet.mesh.winding import occupied
from sparse_convonet.structures import Mesh

MESH_FILE = "mesh.off"
_SHAPE, _SURFACE, _OCCUPANCY = 1, 2, 3  # streams of random numbers that never meet
_STRETCH = (0.75, 1.33)  # of width, height and depth of the later variants of a piece
_STORED = "float16"


def unit_mesh(shape: SolidShape, stretch: np.ndarray) -> Mesh:
    """A shape, stretched along each axis by (3,), in the middle of the unit cube, its longest side 1.

    stretch: negative along an axis where the shape is to be mirrored; faces stay counter-clockwise from outside.
    """
    stretched = shape.vertices * stretch
    low, high = stretched.min(axis=0), stretched.max(axis=0)
    faces = shape.faces if np.prod(stretch) > 0 else shape.faces[:, ::-1]
    return Mesh((stretched - (low + high) / 2) / float((high - low).max()), np.ascontiguousarray(faces))


def contains(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """(Q,) bool: which of the points (Q, 3) lie inside a closed mesh."""
    inside = np.zeros(len(points), dtype=bool)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))  # winding numbers take their time
    inside[near] = occupied(mesh.vertices, mesh.faces, points[near])
    return inside


@dataclass(frozen=True)
class ObjectRecipe:
    """Pieces of the furniture pack, in the order of the pack: each as it is, then again stretched, as often as needed.

    firsts: the number of the first model of each split (numbers run through the splits of a class).  A split takes pieces
    of its own, so that those of "test" are unseen.  voxels: along the cube, of model.binvox.
    """

    firsts: Mapping[str, int]
    seed: int = 0
    points: int = 100_000
    queries: int = 100_000
    voxels: int = 32
    furniture: Path | None = None

    def describe(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        return {"kind": "objects", **values}

    def __call__(self, job: ModelJob, folder: Path) -> None:
        mesh = self.make(job)
        place = (self.seed, int(job.category), job.number)
        drawn = sample_faces(mesh, self.points, np.random.default_rng([*place, _SURFACE]))
        write_surface(folder / "pointcloud.npz", SurfaceSamples(drawn.points, drawn.normals))
        queries = room_queries(self.queries, np.random.default_rng([*place, _OCCUPANCY]))
        stored = queries.astype(_STORED).astype(np.float64)  # the truth is that of the point in the file
        write_occupancy(folder / "points.npz", OccupancySamples(stored, contains(mesh, stored)))
        write_mesh(folder / MESH_FILE, mesh)
        voxels = voxels_of_mesh(mesh, self.voxels)
        write_binvox(folder / VOXELS, Voxels(voxels, (-0.5, -0.5, -0.5), 1.0))

    def make(self, job: ModelJob) -> Mesh:
        """The object of a job, in the unit cube, y up: a function of the recipe and the job alone."""
        stock = _stock(self.furniture)
        names = stock.names(job.category, job.split)
        variant, piece = divmod(job.number - self.firsts[job.split], len(names))
        shape = stock.load(job.category, names[piece])
        stretch = np.ones(3)
        if variant:
            rng = np.random.default_rng([self.seed, int(job.category), job.number, _SHAPE])
            low, high = np.log(_STRETCH)
            stretch = np.exp(rng.uniform(low, high, 3))
            stretch[0] *= rng.choice([-1, 1])
        return unit_mesh(shape, stretch)


@lru_cache(maxsize=2)
def _stock(pack: Path | None) -> PackStock:
    return PackStock(FurnitureLibrary.load(pack))
