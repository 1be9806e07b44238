"""Stage picture: a parallel camera that looks down on a building at an angle.

Own rays instead of open3d's create_rays_pinhole, whose picture came out rotated by 180 degrees (release 0.20).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparse_convonet.picture.face_sums import turn_of, turn_sums
from sparse_convonet.structures import Mesh

_OFF_WALLS_DEG = 25.0  # how far the view turns from looking straight at the walls
_UPRIGHT_COSINE = 0.3


@dataclass(frozen=True)
class ParallelCamera:
    """View direction, and the directions to the right and up in the picture: (3,) float64 unit vectors, world."""

    forward: np.ndarray
    right: np.ndarray
    up: np.ndarray

    @classmethod
    def looking_down(cls, heading_deg: float, elevation_deg: float) -> ParallelCamera:
        """heading: horizontal direction of view, counter-clockwise from +x (90 looks along +y, x to the right).

        elevation: how steeply the view falls, 90 = straight down.
        """
        heading, fall = np.deg2rad(heading_deg), np.deg2rad(elevation_deg)
        ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
        forward = np.cos(fall) * ahead - np.sin(fall) * np.array([0.0, 0.0, 1.0])
        up = np.sin(fall) * ahead + np.cos(fall) * np.array([0.0, 0.0, 1.0])
        return cls(forward, np.cross(forward, up), up)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world -> (N, 2) metres to the right and up in the picture's plane."""
        return points @ np.stack([self.right, self.up], axis=1)


@dataclass(frozen=True)
class Panel:
    """A rectangle of pixels and what it shows.

    left, top, width, height: pixels in the picture.  centre: (2,) metres in the camera's plane at the middle of the
    panel.  metres_per_pixel: the same in both directions.
    """

    left: int
    top: int
    width: int
    height: int
    centre: np.ndarray
    metres_per_pixel: float

    def pixels(self, plane: np.ndarray) -> np.ndarray:
        """(N, 2) camera plane in metres -> (N, 2) float64 pixels (column, row) in the picture, row 0 on top."""
        offset = (plane - self.centre) / self.metres_per_pixel
        middle = np.array([self.left + self.width / 2, self.top + self.height / 2])
        return middle + offset * np.array([1.0, -1.0])

    @property
    def top_left(self) -> np.ndarray:
        """(2,) float64: the camera's plane in metres at the top left corner of the first pixel."""
        return self.centre + np.array([-self.width, self.height]) / 2 * self.metres_per_pixel


def lay_out(boxes: list[np.ndarray], width: int, height: int, margin: int) -> list[Panel]:
    """Panels in a grid, first one at the bottom left, all at the largest scale at which every box fits.

    boxes: (2, 2) each, lowest and highest (right, up) metres in the camera's plane.
    """
    largest = np.max([box[1] - box[0] for box in boxes], axis=0)

    def scale(columns: int) -> float:
        rows = -(-len(boxes) // columns)
        room = np.array([width / columns - 2 * margin, height / rows - 2 * margin])
        return float((np.maximum(largest, 1e-6) / np.maximum(room, 1)).max())

    columns = min(range(1, len(boxes) + 1), key=scale)
    rows = -(-len(boxes) // columns)
    panels = []
    for n, box in enumerate(boxes):
        column, row = n % columns, rows - 1 - n // columns
        left, right = width * column // columns, width * (column + 1) // columns
        top, bottom = height * row // rows, height * (row + 1) // rows
        panels.append(Panel(left, top, right - left, bottom - top, box.mean(axis=0), scale(columns)))
    return panels


def fitted_height(boxes: list[np.ndarray], width: int, height: int, margin: int) -> int:
    """The least height of a picture, at most `height`, in which lay_out shows the boxes at the scale that it has there."""
    panels = lay_out(boxes, width, height, margin)
    rows = len({panel.top for panel in panels})
    tallest = max(float(box[1, 1] - box[0, 1]) for box in boxes) / panels[0].metres_per_pixel
    return min(height, rows * max(math.ceil(tallest) + 2 * margin, 1))


def heading_off_walls(mesh: Mesh, off_deg: float = _OFF_WALLS_DEG) -> float:
    """A heading (degrees) a little off the walls' main direction that shows the building's long side across."""
    return heading_of(wall_sums(mesh), mesh.vertices, off_deg)


def wall_sums(mesh: Mesh) -> np.ndarray:
    """(3,) float64: what heading_off_walls adds up over the faces; the sums of parts of a mesh add to the whole's."""
    return turn_sums(mesh, _UPRIGHT_COSINE)


def heading_of(sums: np.ndarray, outline: np.ndarray, off_deg: float = _OFF_WALLS_DEG) -> float:
    """heading_off_walls from the wall_sums (3,) and points (N, 3) that reach as far as the mesh in level directions."""
    turn = turn_of(sums)
    if turn is None:
        return 90.0 - off_deg
    wall_deg = float(np.rad2deg(turn))

    def breadth(heading_deg: float) -> float:
        camera = ParallelCamera.looking_down(heading_deg, 90.0)
        return float(np.ptp(outline @ camera.right))

    quarters = [(wall_deg + 90.0 * n - off_deg) % 360 for n in range(2)]
    # Of the two opposite headings the one nearer to +y, so that x tends to the right.
    heading = max(quarters, key=breadth)
    return heading if np.sin(np.deg2rad(heading)) >= 0 else (heading + 180) % 360
