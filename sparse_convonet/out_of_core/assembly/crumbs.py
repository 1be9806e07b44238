"""Stage out_of_core: small pieces of a mesh in tiles that few points were measured on; see mesh.cleanup."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from sparse_convonet.extract.tile_pieces import label_tile
from sparse_convonet.mesh.cleanup import CrumbRule, PieceRules, points_wanted, supported_places
from sparse_convonet.out_of_core.assembly.pieces import Pieces, without_small
from sparse_convonet.out_of_core.assembly.tile_frame import SNAP_VOXELS, TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource, TileNotes, reporting, tag_of, tiles_within
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.tile_grid import TileName

logger = logging.getLogger(__name__)


def without_crumbs(
    pieces: Pieces, folder: TileFolder, points: PointSource, frame: TileFrame, rules: PieceRules, progress: Progress
) -> Pieces:
    """Without the pieces that mesh.cleanup.remove_pieces removes by the same rules."""
    pieces = without_small(pieces, rules.least_m2 / frame.voxels.voxel_size_m**2, rules.least_share)
    if rules.crumbs is None or not pieces.kept.any():
        return pieces
    return without_unsupported(pieces, folder, points, frame, rules.crumbs, progress)


def without_unsupported(
    pieces: Pieces, folder: TileFolder, points: PointSource, frame: TileFrame, rule: CrumbRule, progress: Progress
) -> Pieces:
    """Without the small pieces that few points show; the same as mesh.cleanup.remove_unsupported takes."""
    # In the order of their first vertices, as the pieces of a whole mesh are numbered, for equal sums.
    whole = np.flatnonzero(pieces.kept)
    whole = whole[np.argsort(pieces.first_places()[whole], kind="stable")]
    area, (low, high) = pieces.areas[whole], (ends[whole] for ends in pieces.ends())
    share = rule.points_shares(area, low, high, frame.voxels.voxel_size_m)
    small = np.zeros(len(pieces.areas), dtype=bool)
    small[whole[share > 0]] = True
    if points.count == 0 or not small.any():
        return pieces
    supported = _count_points(pieces, small, folder, points, frame, rule.reach_voxels, progress)
    poor = (share > 0) & (supported[whole] < points_wanted(area, points.count, share))
    kept = pieces.kept.copy()
    kept[whole[poor]] = False
    logger.info("removed %d small pieces with few points, kept %d", poor.sum(), small.sum() - poor.sum())
    return replace(pieces, kept=kept)


def _count_points(
    pieces: Pieces,
    small: np.ndarray,
    folder: TileFolder,
    points: PointSource,
    frame: TileFrame,
    reach: float,
    progress: Progress,
) -> np.ndarray:
    """(P,) int64: the points nearest to a vertex of each small piece, among the vertices of all of these, and near it.

    A point counts in the tile that owns that vertex, which has all points around its own vertices, and all vertices
    around these points.
    """
    tag = tag_of(small, pieces.piece_of, points.count, frame.voxels.origin_world, frame.voxels.voxel_size_m, reach)
    crumbs, support = (TileNotes(folder, file, tag) for file in ("crumbs.npz", "support.npz"))
    tiles = [n for n in range(len(pieces.names)) if small[pieces.piece_of[pieces.parts(n)]].any()]
    number = {pieces.names[n]: n for n in tiles}
    for name in reporting(progress, "small pieces", list(number)):
        if not crumbs.has(name):
            mesh = folder.mesh(name)
            piece = pieces.piece_of[pieces.parts(number[name])][label_tile(mesh)[0]]
            rows = np.flatnonzero(mesh.own & small[piece])
            crumbs.write(name, {"places": mesh.vertices[rows], "pieces": piece[rows]})
    rings = frame.rings(folder.grid, 2 * (reach + SNAP_VOXELS))
    total = np.zeros(len(small), dtype=np.int64)
    for name in reporting(progress, "points of small pieces", list(number)):
        if not support.has(name):
            around = [other for other in tiles_within(name, rings) if other in number]
            found = _supported(crumbs, name, around, points, frame, reach)
            named, counts = np.unique(found, return_counts=True)
            support.write(name, {"pieces": named, "counts": counts})
        named, counts = support.read(name, "pieces", "counts")
        total[named] += counts
    return total


def _supported(
    crumbs: TileNotes, name: TileName, around: list[TileName], points: PointSource, frame: TileFrame, reach: float
) -> np.ndarray:
    """(M,) int64: for each point whose nearest vertex of a small piece is one of the tile's own, that piece."""
    own, own_pieces = crumbs.read(name, "places", "pieces")
    if len(own) == 0:
        return np.zeros(0, dtype=np.int64)
    margin = reach + SNAP_VOXELS
    low, high = own.min(axis=0) - margin, own.max(axis=0) + margin
    near = points.within(frame.voxels.to_world(low), frame.voxels.to_world(high)).points_world
    if len(near) == 0:
        return np.zeros(0, dtype=np.int64)
    others = [crumbs.read(other, "places")[0] for other in around if other != name]
    others = [each[((each >= low - margin) & (each <= high + margin)).all(axis=1)] for each in others]
    nearest = supported_places(frame.voxels.snap_to_voxels(near), np.concatenate([own, *others]), reach)
    return own_pieces[nearest[nearest < len(own)]]
