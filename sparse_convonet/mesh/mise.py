"""Stage mesh: multiresolution isosurface extraction (MISE, Mescheder et al. 2019, section 3.3) on a sparse octree.

Two additions to the paper.  Cells that hold input points are refined although their corners agree, so that thin
walls are not missed; and at every level the set of cells grows across each face whose corners disagree, so that the
surface never ends at a cell that was not looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.cube_table import FACE_MASKS
from sparse_convonet.mesh.lattice import (
    KeyTable,
    axis_shift,
    cell_cases,
    cell_corners,
    coarse_keys,
    contains,
    low_bits,
    pack_lattice,
    sorted_unique,
    unique_keys,
    unpack_lattice,
)
from sparse_convonet.mesh.marching_cubes import marching_cubes
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

Evaluate = Callable[[np.ndarray], np.ndarray]  # (Q, 3) float32 field coordinates -> (Q,) float32 logits
Progress = Callable[[int, int, int], None]  # edge of the cells in finest cells, points done, points of this step

_BLOCK_BITS = 4  # lattice points are evaluated block by block, 16 points along each edge
_BEYOND = 1.0  # how far below the threshold the logit counts where the field was not asked


@dataclass(frozen=True)
class ExtractionSettings:
    """cell: edge of the finest cells in field units (voxels).  threshold: logit above which space is occupied.

    lattice_offset: lattice point i lies at i * cell + lattice_offset, in field units.  chunk_points: how many
    points go to `evaluate` at once.  interpolation_margin: share of a cell's edge that vertices keep from
    lattice points, so that no face has zero area.
    """

    cell: float
    threshold: float = 0.0
    lattice_offset: float = 0.0
    chunk_points: int = 1 << 17
    interpolation_margin: float = 1e-3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.cell) and self.cell > 0):
            raise ValueError(f"mesh cell: expected a positive number of voxels, found {self.cell}")
        if self.chunk_points < 1:
            raise ValueError(f"chunk_points: expected at least 1, found {self.chunk_points}")
        if not 0 < self.interpolation_margin < 0.5:
            raise ValueError(f"interpolation_margin: expected between 0 and 0.5, found {self.interpolation_margin}")


def extract_mesh(
    evaluate: Evaluate,
    seed_cells: np.ndarray,  # (M, 3) int: cell c covers lattice points c * stride to (c + 1) * stride
    seed_stride_cells: int,  # edge of the seed cells in finest cells, a power of two
    points_field: np.ndarray,  # (N, 3) input points, field coordinates
    settings: ExtractionSettings,
    progress: Progress | None = None,
) -> Mesh:
    """The surface where the field's logit crosses the threshold, as one closed mesh in field coordinates.

    The surface is followed wherever it leads, up to one seed cell beyond the seeds; further out, space counts as
    empty and the mesh is closed there.  Every lattice point is evaluated at most once.  An empty field gives an
    empty mesh.  Raises ValueError where the arguments do not fit, or `evaluate` returns NaN or infinity.
    """
    levels = _levels(seed_stride_cells)
    if seed_cells.ndim != 2 or seed_cells.shape[1] != 3 or not np.issubdtype(seed_cells.dtype, np.integer):
        raise ValueError(f"seed_cells: expected integers of shape (M, 3), found {seed_cells.dtype} {seed_cells.shape}")
    if len(seed_cells) == 0:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    search = _Search(evaluate, seed_cells, levels, settings, progress)
    cells, cases = search.refine(_cells_of_points(points_field, settings))
    crossing = (cases != 0) & (cases != 255)
    points, logits = search.logits.merged()
    vertices, faces = marching_cubes(
        cells[crossing], cases[crossing], points, logits, settings.threshold, settings.interpolation_margin
    )
    logger.info("%d lattice points, %d crossing cells, %d faces", len(points), int(crossing.sum()), len(faces))
    return Mesh(vertices * settings.cell + settings.lattice_offset, faces)


def _levels(seed_stride_cells: int) -> int:
    levels = int(seed_stride_cells).bit_length() - 1
    if seed_stride_cells < 1 or seed_stride_cells != 1 << levels:
        raise ValueError(f"seed_stride_cells: expected a power of two (1, 2, 4, ...), found {seed_stride_cells}")
    return levels


def _cells_of_points(points_field: np.ndarray, settings: ExtractionSettings) -> np.ndarray:
    """Sorted unique keys of the finest cells that hold input points."""
    if len(points_field) == 0:
        return np.zeros(0, dtype=np.int64)
    cells = np.floor((np.asarray(points_field, dtype=np.float64) - settings.lattice_offset) / settings.cell)
    return unique_keys(pack_lattice(cells.astype(np.int64)))


class _Search:
    """What one extraction knows so far: the logits, and the domain beyond which nothing is asked."""

    def __init__(
        self,
        evaluate: Evaluate,
        seed_cells: np.ndarray,
        levels: int,
        settings: ExtractionSettings,
        progress: Progress | None,
    ) -> None:
        self.logits = KeyTable(np.float32)
        self._evaluate = evaluate
        self._levels = levels
        self._settings = settings
        self._progress = progress
        stride = 1 << levels
        extremes = np.stack([seed_cells.min(axis=0) - 1, seed_cells.max(axis=0) + 2])
        pack_lattice(extremes.astype(np.int64) * stride)  # raises where the domain leaves the range of keys
        self._seeds = unique_keys(pack_lattice(seed_cells.astype(np.int64) * stride))
        self._domain = self._seeds
        for axis in range(3):
            shift = axis_shift(axis, stride)
            self._domain = sorted_unique([self._domain - shift, self._domain, self._domain + shift])

    def refine(self, point_cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The finest cells looked at, as sorted keys, and their cases (which corners are inside)."""
        outside = ~contains(self._domain, coarse_keys(point_cells, self._levels))
        if outside.any():
            logger.warning("%d cells with input points lie outside the seed cells and are not refined", outside.sum())
        cells = self._seeds
        for level in range(self._levels, -1, -1):
            cells, cases = self._close(cells, level)
            if level > 0:
                with_points = contains(unique_keys(coarse_keys(point_cells, level)), cells)
                split = cells[((cases != 0) & (cases != 255)) | with_points]
                cells = cell_corners(split, 1 << (level - 1))  # low corners plus 0 or half an edge: the children
        return cells, cases

    def _close(self, cells: np.ndarray, level: int) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate the cells, and grow across every face the surface leaves by, until it leaves by none."""
        table = KeyTable(np.uint8)
        frontier = cells
        while len(frontier):
            cases = self._cases(frontier, level)
            table.insert(frontier, cases)
            frontier = self._neighbours_across_crossing_faces(frontier, cases, level)
            frontier = frontier[~table.contains(frontier)]
            frontier = frontier[contains(self._domain, coarse_keys(frontier, self._levels))]
        return table.merged()

    def _neighbours_across_crossing_faces(self, cells: np.ndarray, cases: np.ndarray, level: int) -> np.ndarray:
        neighbours = []
        for number, mask in enumerate(FACE_MASKS):
            on_face = cases & mask
            shift = axis_shift(number // 2, 1 << level)
            neighbours.append(cells[(on_face != 0) & (on_face != mask)] + (shift if number % 2 else -shift))
        return sorted_unique(neighbours)

    def _cases(self, cells: np.ndarray, level: int) -> np.ndarray:
        """(M,) uint8: bit c is set where corner c is inside; unknown corners are evaluated."""
        corners = cell_corners(cells, 1 << level)
        known, logits = self.logits.find(corners)
        missing = corners[~known]
        logits[~known] = self._ask(missing, level)
        self.logits.insert(missing, logits[~known])
        return cell_cases(cells, corners, logits > self._settings.threshold, 1 << level)

    def _ask(self, keys: np.ndarray, level: int) -> np.ndarray:
        """(P,) float32 logits of lattice points, in spatially sorted chunks; empty space on the domain's border."""
        logits = np.full(len(keys), self._settings.threshold - _BEYOND, dtype=np.float32)
        asked = np.flatnonzero(~self._on_border(keys))
        order = asked[np.argsort(coarse_keys(keys[asked], level + _BLOCK_BITS), kind="stable")]
        for start in range(0, len(order), self._settings.chunk_points):
            chunk = order[start : start + self._settings.chunk_points]
            position = unpack_lattice(keys[chunk]) * self._settings.cell + self._settings.lattice_offset
            answer = np.asarray(self._evaluate(position.astype(np.float32)))
            if answer.shape != (len(chunk),) or not np.isfinite(answer).all():
                raise ValueError(
                    f"evaluate: expected {len(chunk)} finite logits, found shape {answer.shape} with "
                    f"{int((~np.isfinite(answer)).sum())} values NaN or infinite; check the model's weights"
                )
            logits[chunk] = answer
            if self._progress is not None:
                self._progress(1 << level, start + len(chunk), len(order))
        return logits

    def _on_border(self, keys: np.ndarray) -> np.ndarray:
        """(P,) bool: lattice points on the border of the domain (they touch a cell beyond it)."""
        border = np.zeros(len(keys), dtype=bool)
        aligned = np.zeros(len(keys), dtype=bool)
        for axis in range(3):
            aligned |= (keys & low_bits(self._levels, [axis])) == 0
        aligned_keys = keys[aligned]
        for low in range(8):
            shift = sum(axis_shift(axis, low >> axis & 1) for axis in range(3))
            border[aligned] |= ~contains(self._domain, coarse_keys(aligned_keys - shift, self._levels))
        return border
