"""What becomes of a scan between its plan and its mesh, wherever its points, cells and surface are kept."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths, WrittenMesh
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.stages import FoundSurface
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh


class Queries(Protocol):
    """Answers about the field of an encoded scan; queries are (Q, 3) voxel coordinates."""

    def logits_and_known(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) float32, and (Q,) bool where the field has features."""
        ...

    def gradient(self, queries: np.ndarray) -> np.ndarray:
        """(Q, 3) float32, per voxel."""
        ...


class PlannedScan(Protocol):
    """A scan whose sizes are chosen.  In memory it is a WholeScan, in a work folder a StoredScan; both give the same mesh.

    find_surface comes first; then whole_mesh or write, once.  queries needs none of them.
    """

    @property
    def plan(self) -> Plan: ...

    @property
    def voxels(self) -> VoxelFrame:
        """Where its voxels stand in the world."""
        ...

    @property
    def points(self) -> PointSource:
        """The clean points of the scan."""
        ...

    def find_surface(self, progress: Progress) -> FoundSurface:
        """Encode the points, search for the surface, and mesh it."""
        ...

    def whole_mesh(self, progress: Progress) -> tuple[Mesh, int]:
        """The finished mesh in the world, metres, z up, which may be empty, and how many pieces were removed."""
        ...

    def write(self, paths: ResultPaths, progress: Progress) -> WrittenMesh:
        """Finish the mesh, measure it, and write it with what else is asked for."""
        ...

    def queries(self, progress: Progress) -> Queries:
        """Encode the points, and answer queries about the field."""
        ...
