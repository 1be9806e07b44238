"""Rays and nearest points by a tree of boxes over the triangles, compiled by Numba: for machines without open3d."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sparse_convonet.mesh import raycast_numba
from sparse_convonet.mesh.raycast_build_numba import build_tree

_ROWS_PER_PART = 4096  # of rays or points that one thread works on at a time


class TreeEngine:
    """A RayEngine (see raycast.py).  vertices: (V, 3) around the origin.  faces: (F, 3).  threads: 0 takes every core."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, threads: int) -> None:
        self._threads = threads or _cores()
        corners = np.ascontiguousarray(vertices[faces], dtype=np.float32)  # (F, 3, 3)
        count = len(corners)
        boxes = np.empty((2 * count, 6), dtype=np.float32)
        links = np.empty((2 * count, 2), dtype=np.int32)
        order = np.empty(count, dtype=np.int32)
        first, second, third = corners.swapaxes(0, 1)  # (F, 3) each, several times as fast as along an axis of 3
        low, high = (bound(bound(first, second), third) for bound in (np.minimum, np.maximum))
        extents = np.concatenate([low, high], axis=1)  # (F, 6)
        nodes = build_tree(extents, boxes, links, order)
        self._tree = boxes[:nodes].copy(), links[:nodes].copy(), corners[order].reshape(count, 9)
        self._normals = _unit_normals(vertices[faces[order]])  # (F, 3), in the order of the leaves

    def first_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distances, places = np.empty(len(rays)), np.empty(len(rays), dtype=np.int32)
        self._in_parts(lambda *part: raycast_numba.first_hits(*self._tree, rays, distances, places, *part), len(rays))
        return distances, self._normals[places]  # of the last triangle where nothing is hit: never looked at

    def all_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counts, nowhere = np.empty(len(rays), dtype=np.int64), np.zeros(len(rays), dtype=np.int64)
        none = np.empty(0)
        self._in_parts(lambda *part: raycast_numba.all_hits(*self._tree, rays, nowhere, none, counts, *part), len(rays))
        starts, distances = np.cumsum(counts) - counts, np.empty(counts.sum())
        if len(distances):
            self._in_parts(
                lambda *part: raycast_numba.all_hits(*self._tree, rays, starts, distances, counts, *part), len(rays)
            )
        return np.repeat(np.arange(len(rays)), counts), distances

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        squares, places = np.empty(len(points)), np.empty(len(points), dtype=np.int32)
        self._in_parts(lambda *part: raycast_numba.nearest(*self._tree, points, squares, places, *part), len(points))
        return np.sqrt(squares), self._normals[places]

    def _in_parts(self, work: Callable[[int, int], object], count: int) -> None:
        """work(begin, end) for parts that together are `count` rows."""
        begins = range(0, count, _ROWS_PER_PART)
        if self._threads == 1 or len(begins) < 2:
            work(0, count)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            for done in [pool.submit(work, begin, min(begin + _ROWS_PER_PART, count)) for begin in begins]:
                done.result()


def _unit_normals(corners: np.ndarray) -> np.ndarray:
    """(F, 3) of triangles (F, 3, 3); zeros for those without area."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
