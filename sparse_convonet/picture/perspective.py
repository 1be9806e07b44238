"""Stage picture: a mesh as a pinhole camera sees it, by rays, on white; cameras around an object.

A camera maps a point p, in the frame of the mesh, to the pixel intrinsics @ (world_to_camera @ [p, 1]) after division by
the last of the three numbers, its depth, as the renderings of Choy et al. (2016) have it: x to the right, y down, the
middle of the first pixel at (0.5, 0.5).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import Mesh

# Choy et al. (2016): a lens of 35 mm before a sensor of 32 mm, views from 25 to 30 degrees above.
FOCAL_SHARE = 35.0 / 32.0  # focal length in terms of the width of the picture
ELEVATION_DEG = (25.0, 30.0)
_BACKGROUND = 255.0
_FACE_COLOUR = np.array([196.0, 200.0, 206.0])
_AMBIENT, _HEADLIGHT, _SKYLIGHT = 0.25, 0.55, 0.20  # shares of the light; they add to 1
_NEAREST = 1e-9  # of a length that divides


@dataclass(frozen=True)
class PerspectiveCamera:
    """world_to_camera: (3, 4) float64.  intrinsics: (3, 3) float64, pixels of a picture of size (height, width)."""

    world_to_camera: np.ndarray
    intrinsics: np.ndarray
    height: int
    width: int

    @classmethod
    def around(
        cls, centre: np.ndarray, direction: np.ndarray, up: np.ndarray, radius: float, size: int
    ) -> PerspectiveCamera:
        """A square picture of `size` pixels that just shows the ball of `radius` around centre (3,).

        direction: (3,) from the centre to the camera.  up: (3,) what is up in the picture, not along direction.
        """
        backward = direction / np.linalg.norm(direction)
        right = np.cross(up, backward)
        right /= np.linalg.norm(right)
        down = np.cross(right, backward)
        rotation = np.stack([right, down, -backward])
        distance = radius / math.sin(math.atan(0.5 / FOCAL_SHARE))  # the ball touches the sides of the picture
        place = centre + distance * backward
        focal = FOCAL_SHARE * size
        intrinsics = np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])
        return cls(np.concatenate([rotation, -(rotation @ place)[:, None]], axis=1), intrinsics, size, size)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3) float64: column, row and depth."""
        seen = (points @ self.world_to_camera[:, :3].T + self.world_to_camera[:, 3]) @ self.intrinsics.T
        return np.concatenate([seen[:, :2] / seen[:, 2:], seen[:, 2:]], axis=1)

    def rays(self, per_pixel: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the camera stands, (3,), and unit directions (height, width, K, 3) of per_pixel^2 rays of each pixel."""
        steps = (np.arange(per_pixel) + 0.5) / per_pixel
        row, column, down, right = np.meshgrid(
            np.arange(self.height), np.arange(self.width), steps, steps, indexing="ij", sparse=False
        )
        pixels = np.stack([column + right, row + down, np.ones(row.shape)], axis=-1)
        rotation, shift = self.world_to_camera[:, :3], self.world_to_camera[:, 3]
        directions = pixels @ np.linalg.inv(self.intrinsics).T @ rotation  # by the inverse of the rotation
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return -rotation.T @ shift, directions.reshape(self.height, self.width, per_pixel**2, 3)


def views_around(
    mesh: Mesh, count: int, size: int, rng: np.random.Generator, up: np.ndarray
) -> list[PerspectiveCamera]:
    """Cameras as in the renderings of Choy et al. (2016): anywhere around the mesh, a little above it.

    up: (3,) unit vector along an axis.  Raises ValueError for a mesh without faces.
    """
    centre, radius = ball_of(mesh)
    turn, height = rng.uniform(0, 2 * math.pi, count), np.deg2rad(rng.uniform(*ELEVATION_DEG, count))
    return [
        PerspectiveCamera.around(centre, direction_of(float(angle), float(above), up), up, radius, size)
        for angle, above in zip(turn, height, strict=True)
    ]


def direction_of(turn: float, elevation: float, up: np.ndarray) -> np.ndarray:
    """(3,): at an angle `turn` around the axis `up`, and `elevation` above the level plane, both in radians."""
    axis = int(np.argmax(np.abs(up)))
    first, second = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
    return math.cos(elevation) * (math.cos(turn) * first + math.sin(turn) * second) + math.sin(elevation) * up


def ball_of(mesh: Mesh) -> tuple[np.ndarray, float]:
    """The middle (3,) of the box of the faces, and how far they reach from it.  Raises ValueError without faces."""
    if len(mesh.faces) == 0:
        raise ValueError("picture: expected a mesh with faces, found none; nothing can be shown")
    vertices = mesh.vertices[np.unique(mesh.faces)]
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return centre, max(float(np.linalg.norm(vertices - centre, axis=1).max()), _NEAREST)


def render(mesh: Mesh, camera: PerspectiveCamera, up: np.ndarray, per_pixel: int = 2) -> np.ndarray:
    """(height, width, 3) uint8: grey faces on white, lit from the camera and from above.

    per_pixel: rays along each side of a pixel.  Which side of a face is its outside does not matter.
    """
    return render_scene(TriangleScene(mesh.vertices, mesh.faces), camera, up, per_pixel)


def render_scene(scene: TriangleScene, camera: PerspectiveCamera, up: np.ndarray, per_pixel: int = 2) -> np.ndarray:
    """As `render`, of a mesh whose rays are prepared already."""
    origin, directions = camera.rays(per_pixel)
    flat = directions.reshape(-1, 3)
    distance, normal = scene.first_hits(np.broadcast_to(origin, flat.shape), flat)  # normals face the camera
    facing = np.abs(np.einsum("ij,ij->i", normal, flat))
    light = _AMBIENT + _HEADLIGHT * facing + _SKYLIGHT * (1 + normal @ up) / 2
    shown = np.where(np.isfinite(distance)[:, None], light[:, None] * _FACE_COLOUR, _BACKGROUND)
    picture = shown.reshape(*directions.shape[:3], 3).mean(axis=2)
    return np.rint(picture).clip(0, 255).astype(np.uint8)
