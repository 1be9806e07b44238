"""What the edges of a mesh say about it, with dictionaries and sets, one face at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np


def directed_edges(faces: np.ndarray) -> Counter[tuple[int, int]]:
    """How often faces run along each directed edge."""
    return Counter((int(face[corner]), int(face[(corner + 1) % 3])) for face in faces for corner in range(3))


def edge_count(faces: np.ndarray) -> int:
    return len({tuple(sorted(edge)) for edge in directed_edges(faces)})


def is_watertight(faces: np.ndarray) -> bool:
    """Every directed edge once, and its reverse once."""
    edges = directed_edges(faces)
    return len(faces) > 0 and all(count == 1 and edges[end, start] == 1 for (start, end), count in list(edges.items()))


def components(faces: np.ndarray, vertex_count: int) -> list[int]:
    """The number of each vertex's piece; pieces are numbered by their lowest vertices."""
    neighbours: list[set[int]] = [set() for _ in range(vertex_count)]
    for face in faces.tolist():
        for vertex in face:
            neighbours[vertex].update(face)
    labels = [-1] * vertex_count
    count = 0
    for first in range(vertex_count):
        if labels[first] >= 0:
            continue
        waiting = [first]
        while waiting:
            vertex = waiting.pop()
            if labels[vertex] < 0:
                labels[vertex] = count
                waiting.extend(neighbours[vertex])
        count += 1
    return labels
