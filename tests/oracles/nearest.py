"""Brute-force distances from points to triangles, one pair at a time."""

from __future__ import annotations

import numpy as np


def distance_to_segment(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    length_squared = float((end - start) @ (end - start))
    if length_squared == 0:
        return float(np.linalg.norm(point - start))
    share = min(1.0, max(0.0, float((point - start) @ (end - start)) / length_squared))
    return float(np.linalg.norm(point - (start + share * (end - start))))


def distance_to_triangle(point: np.ndarray, corners: np.ndarray) -> float:
    """point (3,), corners (3, 3): the foot of the perpendicular if it lies inside, else the nearest edge."""
    a, b, c = corners
    nearest = min(distance_to_segment(point, *edge) for edge in ((a, b), (b, c), (c, a)))
    normal = np.cross(b - a, c - a)
    if not normal.any():
        return nearest
    normal = normal / np.linalg.norm(normal)
    height = float((point - a) @ normal)
    foot = point - height * normal
    inside = all(np.cross(end - start, foot - start) @ normal >= 0 for start, end in ((a, b), (b, c), (c, a)))
    return min(nearest, abs(height)) if inside else nearest


def distance_to_mesh(point: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    return min(distance_to_triangle(point, vertices[face]) for face in faces)


def nearest_index(point: np.ndarray, others: np.ndarray) -> int:
    """Which of others (M, 3) is nearest to point (3,)."""
    return min(range(len(others)), key=lambda index: float(np.sum((others[index] - point) ** 2)))
