"""A pitched roof over a rectangular building."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle
from sparse_convonet.data.scenes.assembly import Assembly

_LONGEST_WEDGE_M = 4.0  # samples are drawn on whole wedges, also where only a small box of the scene is asked for


def add_pitched_roof(
    assembly: Assembly,
    outline: Rectangle,
    eaves_z: float,
    wall: float,
    rng: np.random.Generator,
    pitch_deg: tuple[float, float] = (15.0, 42.0),
) -> None:
    """Two sloped slabs that meet above the middle of the longer side, and gables of thickness `wall`."""
    x0, y0, x1, y1 = outline
    along_x = x1 - x0 >= y1 - y0
    (low, high), (left, right) = ((x0, x1), (y0, y1)) if along_x else ((y0, y1), (x0, x1))
    rise = (right - left) / 2 * np.tan(np.deg2rad(rng.uniform(*pitch_deg)))
    thickness, overhang = float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.0, 0.5))
    middle, slope = (left + right) / 2, rise / ((right - left) / 2)

    def at(along: float, across: float, z: float) -> np.ndarray:
        return np.array([along, across, z]) if along_x else np.array([across, along, z])

    lift = thickness / 2 * np.hypot(1.0, slope)
    for edge in (left, right):
        outward = np.sign(edge - middle)
        start = at((low + high) / 2, edge + outward * overhang, eaves_z - overhang * slope + lift)
        # The slabs cross a little at the ridge, so that no gap stays open there.
        end = at(
            (low + high) / 2, middle - outward * thickness * slope / 2, eaves_z + rise + thickness * slope**2 / 2 + lift
        )
        assembly.beam(start, end, high - low + 2 * overhang, thickness)
        for gable in (low, high):
            horizontal = at(0.0, float(outward), 0.0)
            up = np.array([0.0, 0.0, 1.0])
            rotation = np.stack([horizontal, np.cross(up, horizontal), up], axis=1)
            centre = at(gable, (middle + edge) / 2, eaves_z + rise / 2)
            assembly.wedge(centre, ((right - left) / 2, wall, rise), rotation)


def add_solid_roof(
    assembly: Assembly, outline: Rectangle, eaves_z: float, rng: np.random.Generator, pitch_deg: tuple[float, float]
) -> None:
    """A pitched roof that is solid below, of wedges up to 4 m long, its ridge along the longer side."""
    x0, y0, x1, y1 = outline
    along_x = x1 - x0 >= y1 - y0
    (low, high), (left, right) = ((x0, x1), (y0, y1)) if along_x else ((y0, y1), (x0, x1))
    half = (right - left) / 2
    rise, middle = half * float(np.tan(np.deg2rad(rng.uniform(*pitch_deg)))), (left + right) / 2
    pieces = max(1, int(np.ceil((high - low) / _LONGEST_WEDGE_M)))
    length, up = (high - low) / pieces, np.array([0.0, 0.0, 1.0])
    for outward in (-1.0, 1.0):
        horizontal = np.array([0.0, outward, 0.0] if along_x else [outward, 0.0, 0.0])
        rotation = np.stack([horizontal, np.cross(up, horizontal), up], axis=1)
        for piece in range(pieces):
            planar = np.array([low + (piece + 0.5) * length, middle + outward * half / 2])
            centre = np.array([*(planar if along_x else planar[::-1]), eaves_z + rise / 2])
            assembly.wedge(centre, (half, length, rise), rotation)
