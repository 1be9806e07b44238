"""Stage mesh: a light mesh beside the full one, to be opened anywhere: few faces where the surface is flat.

The full mesh is cut into blocks, each block's edges collapse with its rim in place, and the blocks are joined at their
rims.  So it is the same whether the full mesh is in memory or in tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.mesh.collapse import CollapsedMesh, collapse_edges
from sparse_convonet.mesh.light_numba import number_by_first_use
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.mesh.raycast_tree import TreeEngine
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

BLOCK_CELLS = 256  # edge of a block in finest cells
SAMPLE = 50_000  # vertices of the full mesh whose distance is measured


@dataclass(frozen=True)
class LightMesh:
    """mesh: in the world, metres, z up, with normals.  within_68_m, within_95_m, largest_m: of a sample of the full
    mesh's vertices, how near 68 % and 95 % of them lie to it, and the farthest."""

    mesh: Mesh
    within_68_m: float
    within_95_m: float
    largest_m: float


def light_mesh(full: Mesh, block_of_vertex: np.ndarray, error_m: float) -> LightMesh:
    """That of a whole mesh, metres, z up, with at least one face.

    block_of_vertex: (V,) int64, see faces_by_block.  error_m: of collapse_edges.
    """
    blocks = faces_by_block(full.faces, block_of_vertex)
    return joined_blocks(full, collapse_blocks(full, [rows for _, rows in blocks], error_m))


def collapse_blocks(full: Mesh, blocks: Sequence[np.ndarray], error_m: float) -> list[tuple[CollapsedMesh, np.ndarray]]:
    """What becomes of each block, the rows (n,) of its faces, and (V,) int64 the vertices that it had of the whole mesh."""
    found: list[tuple[CollapsedMesh, np.ndarray] | None] = [None] * len(blocks)

    def collapse(_: int, begin: int, end: int) -> None:
        for number in range(begin, end):
            block, ids = part_of(full, blocks[number])
            found[number] = collapse_edges(block, error_m), ids

    run_ranges(collapse, len(blocks), len(blocks))
    return [each for each in found if each is not None]


def part_of(full: Mesh, rows: np.ndarray) -> tuple[Mesh, np.ndarray]:
    """Some faces (n,) of a mesh, and (V,) int64 the vertices of it that they use, in the order in which they do."""
    faces = full.faces[rows]
    ids, local = number_by_first_use(faces, faces.min(), faces.max())
    normals, colours = (None if each is None else each[ids] for each in (full.normals, full.colours))
    return Mesh(full.vertices[ids], local, normals, colours), ids


def joined_blocks(full: Mesh, blocks: Sequence[tuple[CollapsedMesh, np.ndarray]]) -> LightMesh:
    """The light mesh of a whole mesh whose blocks, all of them, are collapsed."""
    joined = LightBlocks()
    for collapsed, ids in blocks:
        joined.add(collapsed, ids)
    chosen = in_place_sample(full.vertices, len(full.vertices), SAMPLE)
    return joined.finish(full.vertices[chosen])


def faces_by_block(faces: np.ndarray, block_of_vertex: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The blocks (numbers, ascending) that faces (F, 3) lie in, each with the rows (n,) of its faces in their order.

    A face belongs to the block of its first vertex; block_of_vertex: (V,) int64.
    """
    blocks = block_of_vertex[faces[:, 0]]
    order = np.argsort(blocks, kind="stable")
    numbers, starts = np.unique(blocks[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


class LightBlocks:
    """Joins collapsed blocks, one after the other, at the vertices on their rims."""

    def __init__(self) -> None:
        self._meshes: list[Mesh] = []
        self._count = 0
        self._rim_ids, self._rim_numbers = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)

    def add(self, block: CollapsedMesh, ids: np.ndarray) -> None:
        """ids: (V,) int64 of the vertices of the block before it was collapsed; the same in all blocks that use one."""
        mesh, found = block.mesh, ids[block.rows]
        place = np.searchsorted(self._rim_ids, found)
        place[place == len(self._rim_ids)] = 0
        known = block.on_rim & (self._rim_ids[place] == found) if len(self._rim_ids) else np.zeros(len(found), bool)
        numbers = np.empty(len(found), dtype=np.int64)
        numbers[known] = self._rim_numbers[place[known]]
        numbers[~known] = self._count + np.arange(np.count_nonzero(~known))
        self._count += int(np.count_nonzero(~known))
        new = block.on_rim & ~known
        ids_after = np.concatenate([self._rim_ids, found[new]])
        numbers_after = np.concatenate([self._rim_numbers, numbers[new]])
        order = np.argsort(ids_after, kind="stable")
        self._rim_ids, self._rim_numbers = ids_after[order], numbers_after[order]
        colours = None if mesh.colours is None else mesh.colours[~known]
        self._meshes.append(Mesh(mesh.vertices[~known], numbers[mesh.faces], colours=colours))

    def finish(self, sample: np.ndarray) -> LightMesh:
        """sample: (N, 3) vertices of the full mesh."""
        vertices, faces = (
            np.concatenate([getattr(each, name) for each in self._meshes]) for name in ("vertices", "faces")
        )
        colours = [each.colours for each in self._meshes if each.colours is not None]
        mesh = with_area_normals(Mesh(vertices, faces, colours=np.concatenate(colours) if colours else None))
        within_68, within_95, largest = np.quantile(distances_to(mesh, sample), [0.68, 0.95, 1.0])
        return LightMesh(mesh, float(within_68), float(within_95), float(largest))


def distances_to(mesh: Mesh, points: np.ndarray) -> np.ndarray:
    """(N,) float64, of points (N, 3) to a mesh; 0 of none.  To import open3d would take longer than the tree does."""
    if len(points) == 0:
        return np.zeros(1)
    return TriangleScene(mesh.vertices, mesh.faces, torch.get_num_threads(), TreeEngine).nearest(points)[0]
