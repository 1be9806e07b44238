"""A house of boxes as a mesh, with points on it, to be shown on a page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.report.page_figures import Figure
from sparse_convonet.report.reconstruction_page import ReconstructionPage
from sparse_convonet.structures import Mesh
from tests.metrics.boxes import box, joined

_LENGTH, _WIDTH, _STOREY, _WALL = 9.0, 6.0, 2.8, 0.25


def house() -> Mesh:
    """Two storeys, each with a floor, outer and inner walls and a table, and a roof; at 100 m from the origin."""
    parts = []
    for level in (0.0, _STOREY):
        top = level + _STOREY - _WALL
        parts += [
            box((0, 0, level - _WALL), (_LENGTH, _WIDTH, level)),
            box((0, 0, level), (_WALL, _WIDTH, top)),
            box((_LENGTH - _WALL, 0, level), (_LENGTH, _WIDTH, top)),
            box((_WALL, 0, level), (_LENGTH - _WALL, _WALL, top)),
            box((_WALL, _WIDTH - _WALL, level), (_LENGTH - _WALL, _WIDTH, top)),
            box((4, _WALL, level), (4.2, 4, top)),
            box((6, 2, level), (7.4, 3, level + 0.75)),
        ]
    mesh = box((0, 0, 2 * _STOREY - _WALL), (_LENGTH, _WIDTH, 2 * _STOREY))
    for part in parts:
        mesh = joined(mesh, part)
    return replace(mesh, vertices=mesh.vertices + [100, -50, 10])


def house_page(title: str = "house.laz", **more: object) -> ReconstructionPage:
    mesh, rng = house(), np.random.default_rng(0)
    corners = mesh.vertices[mesh.faces[rng.integers(0, len(mesh.faces), 40_000)]]
    weights = rng.dirichlet(np.ones(3), len(corners))
    points = np.einsum("nk,nkc->nc", weights, corners)
    colours = (np.abs(points - points.min(axis=0)) * 20).astype(np.uint8)
    numbers = {
        "distance": np.linspace(0, 80, len(mesh.vertices)),
        "observed": (np.arange(len(mesh.vertices)) % 3 > 0).astype(float),
    }
    red = np.tile(np.array([[200, 40, 30]], dtype=np.uint8), (len(mesh.vertices), 1))
    figures = [Figure("Points", "4,000"), Figure("Mesh", "180 faces")]
    page = ReconstructionPage(
        title, replace(mesh, colours=red), points, colours, numbers, figures, [Figure("Up axis", "z", "as asked")]
    )
    return replace(page, **more)  # type: ignore[arg-type]
