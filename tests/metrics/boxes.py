"""Box-shaped rooms as meshes, joined and opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import trimesh

from sparse_convonet.structures import Mesh


def box(low: Sequence[float], high: Sequence[float]) -> Mesh:
    made = trimesh.creation.box(bounds=np.array([low, high], dtype=float))
    return Mesh(np.asarray(made.vertices, dtype=np.float64), np.asarray(made.faces, dtype=np.int64))


def joined(first: Mesh, second: Mesh) -> Mesh:
    faces = np.concatenate([first.faces, second.faces + len(first.vertices)])
    return Mesh(np.concatenate([first.vertices, second.vertices]), faces)


def without(mesh: Mesh, drop: Callable[[np.ndarray], np.ndarray]) -> Mesh:
    """The mesh without the faces whose centres (F, 3) are chosen."""
    return Mesh(mesh.vertices, mesh.faces[~drop(mesh.vertices[mesh.faces].mean(axis=1))])
