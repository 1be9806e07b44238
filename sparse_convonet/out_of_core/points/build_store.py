"""Sort the points of a spool into the cells of a point store, with the memory of a part of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.clouds.cleaning import Dropped, require_surface
from sparse_convonet.clouds.coincidence import repeats_earlier
from sparse_convonet.out_of_core.points.clean_spool import CleanSpool
from sparse_convonet.out_of_core.points.octree import Octree, plan_octree
from sparse_convonet.out_of_core.points.spool import CHUNK_POINTS
from sparse_convonet.out_of_core.points.stored_cells import CELLS, ROWS, StoredCells, row_type, take_rows
from sparse_convonet.runtime.atomic import atomic_paths
from sparse_convonet.runtime.progress import Progress, untold

REPEATS, CONTENT = "repeats.raw", "content.json"
REPEATS_TITLE = b"repeats\n"  # so that a file without any is not empty
_PLACED = "placed.raw"
_CELL_POINTS = 1 << 15  # at most, unless they are closer than a two millionth of the extent
_PART_POINTS = 1 << 19


def build_store(
    clean: CleanSpool,
    folder: Path,
    origin: dict[str, Any],
    *,
    chunk_points: int = CHUNK_POINTS,
    cell_points: int = _CELL_POINTS,
    part_points: int = _PART_POINTS,
    keep_repeats: bool = False,
    progress: Progress = untold,
) -> Dropped:
    """Write the cells, in the frame of the scan, and which points repeat earlier ones and are left out.

    Two passes: points go to the part that they belong to, then each part is sorted, and repeats in it found.
    keep_repeats: no point counts as one.
    Raises ValueError where fewer than 50 points are left.
    """
    progress("sort points", 0.0)
    tree, counts = plan_octree(
        lambda: (points for _, points in clean.chunks(chunk_points)), clean.low, clean.high, cell_points
    )
    progress("sort points", 0.2)
    before = np.cumsum(counts) - counts  # (C,)
    parts = np.append(np.unique(before // part_points, return_index=True)[1], len(counts))  # (P + 1,) first cells
    placed = folder / _PLACED
    files = [folder / name for name in (ROWS, REPEATS, CELLS, CONTENT)]
    try:
        _place(clean, placed, tree, np.append(before, clean.count)[parts], parts, chunk_points, progress)
        with atomic_paths(files) as (rows_path, repeats_path, cells_path, content_path):
            sizes = np.add.reduceat(counts, parts[:-1])
            cells = _sort_parts(
                clean, placed, folder, rows_path, repeats_path, tree, parts, sizes, keep_repeats, progress
            )
            kept = int(cells.begins[-1])
            require_surface(kept, None, clean.spool.count)
            dropped = Dropped(
                clean.not_finite, clean.no_return, clean.far, clean.count - kept, **asdict(clean.spool.left_out),
                ghosts=clean.ghosts, outliers=clean.outliers,
            )  # fmt: skip
            cells.save(cells_path)
            points_read = clean.spool.count + clean.spool.left_out.total()
            content = {"origin": origin, "points_read": points_read, "dropped": asdict(dropped)}
            content_path.write_text(json.dumps(content), encoding="utf-8")
    finally:
        placed.unlink(missing_ok=True)
    return dropped


def _place(
    clean: CleanSpool,
    placed: Path,
    tree: Octree,
    begins: np.ndarray,
    parts: np.ndarray,
    chunk_points: int,
    progress: Progress,
) -> None:
    """Write all points to a file in which part p begins with row begins[p]; within a part in the order of the scan."""
    kind = row_type(clean.spool.columns)
    part_of_cell = _short(np.repeat(np.arange(len(parts) - 1), np.diff(parts)))
    place = begins[:-1].copy()
    with placed.open("wb") as file:
        for index, points in clean.chunks(chunk_points):
            part = part_of_cell[tree.leaves_of(points)]
            rows = np.empty(len(points), dtype=kind)
            rows["point"], rows["index"] = points, index
            for column in clean.spool.columns if len(index) else ():
                first = int(index[0])
                rows[column] = clean.spool.values(column, first, int(index[-1]) + 1)[index - first]
            content = take_rows(rows, np.argsort(part, kind="stable")).view(np.uint8)
            sizes = np.bincount(part, minlength=len(place))
            ends = np.cumsum(sizes)
            for number in np.flatnonzero(sizes):
                file.seek(int(place[number]) * kind.itemsize)
                file.write(content[(ends[number] - sizes[number]) * kind.itemsize : ends[number] * kind.itemsize].data)
            place += sizes
            progress("sort points", 0.2 + 0.4 * (int(index[-1]) + 1 if len(index) else 0) / clean.spool.count)


def _sort_parts(
    clean: CleanSpool,
    placed: Path,
    folder: Path,
    rows_path: Path,
    repeats_path: Path,
    tree: Octree,
    parts: np.ndarray,
    sizes: np.ndarray,
    keep_repeats: bool,
    progress: Progress,
) -> StoredCells:
    """Write the points by cell, in the order of the scan within each, and those that repeat earlier ones."""
    kind = row_type(clean.spool.columns)
    counts, lows, highs = [], [], []
    with rows_path.open("wb") as rows_file, repeats_path.open("wb") as repeats_file:
        repeats_file.write(REPEATS_TITLE)
        for number, rows in enumerate(_placed_parts(placed, kind, sizes)):
            points = np.ascontiguousarray(rows["point"])
            # Equal points are in one cell.
            repeated = np.zeros(len(points), dtype=bool) if keep_repeats else repeats_earlier(points)
            repeats_file.write(np.ascontiguousarray(rows["index"][repeated]).data)
            local = _short(tree.leaves_of(points) - parts[number])
            order = np.argsort(local, kind="stable")
            order = order[~repeated[order]]
            rows_file.write(take_rows(rows, order).view(np.uint8).data)
            found = np.bincount(local[order], minlength=parts[number + 1] - parts[number])
            counts.append(found)
            edges = np.cumsum(found) - found
            ordered = np.take(points, order, axis=0)
            lows.append(np.minimum.reduceat(ordered, edges, axis=0))
            highs.append(np.maximum.reduceat(ordered, edges, axis=0))
            progress("sort points", 0.6 + 0.4 * (number + 1) / len(sizes))
    begins = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return StoredCells(folder, tree, begins, np.concatenate(lows), np.concatenate(highs), parts, clean.spool.columns)


def _short(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 on as uint16, which sort several times as fast, or as uint32."""
    return numbers.astype(np.uint16 if numbers.max(initial=0) < 1 << 16 else np.uint32)


def _placed_parts(placed: Path, kind: np.dtype, sizes: np.ndarray) -> Iterator[np.ndarray]:
    offset = 0
    for size in sizes:
        yield np.fromfile(placed, dtype=kind, count=size, offset=offset)
        offset += int(size) * kind.itemsize
