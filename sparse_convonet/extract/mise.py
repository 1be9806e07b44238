"""Stage extract: multiresolution isosurface extraction (MISE, Mescheder et al. 2019, section 3.3) on a sparse octree.

Two additions to the paper.  Cells that hold input points are refined although their corners agree, so that thin
walls are not missed; and at every level the set of cells grows across each face whose corners disagree, so that the
surface never ends at a cell that was not looked at.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.lattice import (
    EDGE,
    Domain,
    LatticeLevel,
    axis_shift,
    cells_in,
    pack_lattice,
    unpack_lattice,
)
from sparse_convonet.extract.marching_cubes import marching_cubes
from sparse_convonet.extract.mise_numba import list_points, settle_border, store_logits
from sparse_convonet.extract.mise_spread import cells_reached, corners_needed
from sparse_convonet.mesh.query_chunks import QUERIES_AT_ONCE
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

Evaluate = Callable[[np.ndarray], np.ndarray]  # (Q, 3) float32 field coordinates -> (Q,) float32 logits
LevelProgress = Callable[[int, int, int], None]  # edge of the cells in finest cells, points done, points of this step

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
    chunk_points: int = QUERIES_AT_ONCE
    interpolation_margin: float = 1e-3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.cell) and self.cell > 0):
            raise ValueError(f"mesh cell: expected a positive number of voxels, found {self.cell}")
        if self.chunk_points < 1:
            raise ValueError(f"chunk_points: expected at least 1, found {self.chunk_points}")
        if not 0 < self.interpolation_margin < 0.5:
            raise ValueError(f"interpolation_margin: expected between 0 and 0.5, found {self.interpolation_margin}")


def threshold_logit(threshold: float) -> float:
    """The logit of tau, the probability from which on space counts as occupied; 0 < threshold < 1."""
    return math.log(threshold / (1 - threshold))


def extract_mesh(
    evaluate: Evaluate,
    seed_cells: np.ndarray,  # (M, 3) int: cell c covers lattice points c * stride to (c + 1) * stride
    seed_stride_cells: int,  # edge of the seed cells in finest cells, a power of two
    points_field: np.ndarray,  # (N, 3) input points, field coordinates
    settings: ExtractionSettings,
    progress: LevelProgress | None = None,
) -> Mesh:
    """The surface where the field's logit crosses the threshold, as one closed mesh in field coordinates.

    The surface is followed wherever it leads, up to one seed cell beyond the seeds; further out, space counts as
    empty and the mesh is closed there.  Every lattice point is evaluated at most once.  An empty field gives an
    empty mesh.  Raises ValueError where the arguments do not fit, or `evaluate` returns NaN or infinity.
    """
    levels = halvings(seed_stride_cells)
    if seed_cells.ndim != 2 or seed_cells.shape[1] != 3 or not np.issubdtype(seed_cells.dtype, np.integer):
        raise ValueError(f"seed_cells: expected integers of shape (M, 3), found {seed_cells.dtype} {seed_cells.shape}")
    if len(seed_cells) == 0:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    space = SearchSpace.around(seed_cells, levels)
    point_cells = cells_of_points(points_field, settings)
    space.warn_of_points_beyond(point_cells)
    search = Search(evaluate, space, settings, progress)
    search.refine(space.seeds, point_cells)
    finest = search.lattice[-1]
    margin, offset = settings.interpolation_margin, settings.lattice_offset
    vertices, faces = marching_cubes(finest, settings.threshold, margin, settings.cell, offset)
    crossing = int(np.count_nonzero(np.unpackbits(finest.crossing[: len(finest.index)])))
    logger.info("%d lattice points, %d crossing cells, %d faces", search.points_known, crossing, len(faces))
    return Mesh(vertices, faces)


def halvings(seed_stride_cells: int) -> int:
    """How often seed cells are halved down to the finest cells."""
    levels = int(seed_stride_cells).bit_length() - 1
    if seed_stride_cells < 1 or seed_stride_cells != 1 << levels:
        raise ValueError(f"seed_stride_cells: expected a power of two (1, 2, 4, ...), found {seed_stride_cells}")
    return levels


def cells_of_points(points_field: np.ndarray, settings: ExtractionSettings) -> np.ndarray:
    """(N, 3) int32: the finest cells that hold input points."""
    if len(points_field) == 0:
        return np.zeros((0, 3), dtype=np.int32)
    cells = np.asarray(points_field, dtype=np.float64) - settings.lattice_offset
    cells /= settings.cell
    np.floor(cells, out=cells)
    extremes = np.array([[column.min(), column.max()] for column in cells.T])  # column by column: by rows takes longer
    pack_lattice(extremes.T.astype(np.int64))  # raises where points are too far away
    return cells.astype(np.int32)


@dataclass(frozen=True)
class SearchSpace:
    """Where a surface is looked for: seed cells, which are looked at first, and the domain, one seed cell more around.

    levels: how often seed cells are halved.  seeds: (S, 3) int64, each once.  domain_keys: (D,) int64 sorted.
    """

    levels: int
    seeds: np.ndarray
    domain_keys: np.ndarray
    domain: Domain

    @classmethod
    def around(cls, seed_cells: np.ndarray, levels: int) -> SearchSpace:
        """From (M, 3) integer seed cells."""
        extremes = np.stack([seed_cells.min(axis=0) - 1, seed_cells.max(axis=0) + 2])
        pack_lattice(extremes.astype(np.int64) << levels)  # raises where the domain leaves the range of keys
        seeds = np.unique(pack_lattice(seed_cells))
        keys = seeds
        for axis in range(3):
            shift = axis_shift(axis, 1)
            keys = np.unique(np.concatenate([keys - shift, keys, keys + shift]))
        return cls(levels, unpack_lattice(seeds), keys, Domain.of_cells(unpack_lattice(keys)))

    def warn_of_points_beyond(self, point_cells: np.ndarray) -> None:
        """Log how many of the finest cells with points, (N, 3) int32, no search can look at."""
        marked, complete = self.domain.index.mark(point_cells, self.levels)
        if complete and not (marked & ~self.domain.rows).any():
            return
        outside = ~np.isin(pack_lattice(point_cells >> self.levels), self.domain_keys)
        count = len(np.unique(pack_lattice(point_cells[outside])))
        logger.warning("%d cells with input points lie outside the seed cells and are not refined", count)


class Search:
    """What one extraction knows so far.  lattice: the levels, coarsest first.

    box: (2, 3) first seed cell and the one behind the last, multiples of lattice.EDGE.  Cells beyond it are not looked
    at; those that the surface leads to are kept in `leaving`, arrays (M, 3) for each level.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        space: SearchSpace,
        settings: ExtractionSettings,
        progress: LevelProgress | None = None,
        box: np.ndarray | None = None,
    ) -> None:
        self.points_known = 0
        self.lattice: list[LatticeLevel] = []
        for shift in range(space.levels, -1, -1):
            coarser = self.lattice[-1] if self.lattice else None
            self.lattice.append(LatticeLevel(shift, space.domain, space.levels, coarser))
        self.leaving: list[list[np.ndarray]] = [[] for _ in self.lattice]
        self._evaluate = evaluate
        self._settings = settings
        self._progress = progress
        self._box = box

    def refine(self, seeds: np.ndarray, point_cells: np.ndarray, starts: list[np.ndarray] | None = None) -> None:
        """Look at cells, refine them down to the finest level, and follow the surface; what is known is kept.

        seeds: (S, 3) coarsest cells.  point_cells: (N, 3) int32 finest ones.  starts: (M, 3) more of each level.
        """
        for number, level in enumerate(self.lattice):
            if number == 0:
                fresh = level.admit(seeds)
            else:
                coarser = self.lattice[number - 1]
                with_points, _ = coarser.index.mark(point_cells, coarser.shift)
                count = len(coarser.index)
                keys, rows = coarser.halves(coarser.crossing[:count] | (coarser.cells[:count] & with_points))
                fresh = level.place(keys, rows)
            if starts is not None and len(starts[number]):
                further = level.admit(starts[number])
                further[: len(fresh)] |= fresh
                fresh = further
            self._close(level, fresh & ~level.cells[: len(fresh)])

    def own_range(self, level: LatticeLevel) -> np.ndarray:
        """(2, 3): the first block of the box at a level, and the one behind its last."""
        assert self._box is not None
        return (self._box << (len(self.lattice) - 1 - level.shift)) // EDGE

    def own_blocks(self, level: LatticeLevel, blocks: np.ndarray) -> np.ndarray:
        """(M,) bool: which of (M,) blocks of a level lie in the box."""
        if self._box is None:
            return np.ones(len(blocks), dtype=bool)
        (low, high), places = self.own_range(level), unpack_lattice(level.index.keys[blocks])
        return ((places >= low) & (places < high)).all(axis=1)

    def _close(self, level: LatticeLevel, fresh: np.ndarray) -> None:
        """Look at the given cells, and grow across every face the surface leaves by, until it leaves by none.

        fresh: (B, 8, 8) uint8 mask over the blocks that the level has.
        """
        level.fresh[: len(fresh)] = fresh
        active = np.flatnonzero(fresh.any(axis=(1, 2)))
        while len(active):
            level.cells[active] |= level.fresh[active]
            self._ask(level, corners_needed(level, active))
            reached = cells_reached(level, active)
            level.fresh[active] = 0
            own = self.own_blocks(level, reached)
            self._note_leaving(level, reached[~own])
            level.fresh, level.wanted = level.wanted, level.fresh
            active = reached[own]

    def _note_leaving(self, level: LatticeLevel, beyond: np.ndarray) -> None:
        """Keep the wanted cells of blocks beyond the box for others; they count as looked at, so each is kept once."""
        if len(beyond):
            wanted = level.wanted[beyond]
            self.leaving[len(self.lattice) - 1 - level.shift].append(cells_in(level.index.keys[beyond], wanted))
            level.cells[beyond] |= wanted
            level.wanted[beyond] = 0

    def _ask(self, level: LatticeLevel, blocks: np.ndarray) -> None:
        """Find the logits of the needed points of blocks, in spatially sorted chunks; empty space on the border."""
        settings, threshold = self._settings, np.float32(self._settings.threshold)
        blocks = blocks[np.argsort(level.index.keys[blocks])]
        counts = np.empty(len(blocks), dtype=np.int64)
        beyond = np.float32(settings.threshold - _BEYOND)
        border = settle_border(blocks, level.interior, beyond, level.needed, level.known, level.logits, counts)
        ends = np.cumsum(counts)
        total = int(counts.sum())
        self.points_known += total + border
        for start in range(0, total, settings.chunk_points):
            count = min(settings.chunk_points, total - start)
            first = int(np.searchsorted(ends, start, side="right"))
            skip = start - int(ends[first] - counts[first])
            positions, slots = np.empty((count, 3), dtype=np.float32), np.empty(count, dtype=np.int64)
            cell, offset = float(settings.cell), float(settings.lattice_offset)
            list_points(
                blocks[first:], level.index.keys, level.needed, skip, level.shift, cell, offset, positions, slots
            )
            answer = np.asarray(self._evaluate(positions))
            if answer.shape != (count,) or not np.isfinite(answer).all():
                raise ValueError(
                    f"evaluate: expected {count} finite logits, found shape {answer.shape} with "
                    f"{int((~np.isfinite(answer)).sum())} values NaN or infinite; check the model's weights"
                )
            answer = np.ascontiguousarray(answer, dtype=np.float32)
            store_logits(slots, answer, threshold, level.known, level.inside, level.logits)
            if self._progress is not None:
                self._progress(1 << level.shift, start + count, total)
        level.needed[blocks] = 0
