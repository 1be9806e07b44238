"""Boxes to scan, and how far points within one are from its sides."""

from __future__ import annotations

import numpy as np
import trimesh

from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings

IDEAL = ScannerSettings.ideal()


def box_mesh(low, high, faces=None):
    mesh = trimesh.creation.box(bounds=np.array([low, high], dtype=float))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces if faces is None else mesh.faces[faces])


def joined(*meshes):
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    return (
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([faces + offset for (_, faces), offset in zip(meshes, offsets, strict=False)]),
    )


def distance_inside_box(points, low, high):
    """From points inside or on a box to its surface."""
    return np.abs(np.minimum(points - low, np.asarray(high) - points)).min(axis=1)
