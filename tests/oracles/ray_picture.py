"""What a parallel camera sees of a storey, and how much ambient light gets there, with rays through open3d's scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import open3d
from open3d.core import Tensor

from sparse_convonet.picture.camera import Panel, ParallelCamera
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.structures import Mesh

_SELF_M = 2e-3  # start of a secondary ray off its surface


@dataclass(frozen=True)
class Rays:
    """What the rays of a panel meet, all (R, C): seen, behind (the face is seen from behind) bool; face int64.

    position, normal: (R, C, 3) float64, the face's normal towards the viewer.  Only `seen` holds where nothing is.
    """

    seen: np.ndarray
    behind: np.ndarray
    face: np.ndarray
    position: np.ndarray
    normal: np.ndarray


def subpixel_centres(panel: Panel, oversampling: int) -> np.ndarray:
    """(height * s, width * s, 2) float64: camera plane in metres at the centre of every subpixel."""
    columns = (np.arange(panel.width * oversampling) + 0.5) / oversampling - panel.width / 2
    rows = panel.height / 2 - (np.arange(panel.height * oversampling) + 0.5) / oversampling
    grid = np.stack(np.meshgrid(columns, rows), axis=-1)
    return panel.centre + grid * panel.metres_per_pixel


class RayScene:
    """A mesh ready for rays (near the origin, for open3d computes in float32)."""

    def __init__(self, mesh: Mesh) -> None:
        self._scene = open3d.t.geometry.RaycastingScene()
        vertices = Tensor.from_numpy(mesh.vertices.astype(np.float32))
        self._scene.add_triangles(vertices, Tensor.from_numpy(mesh.faces.astype(np.uint32)))

    def _cast(self, start: np.ndarray, direction: np.ndarray) -> dict[str, np.ndarray]:
        rays = np.concatenate([start, np.broadcast_to(direction, start.shape)], axis=-1).astype(np.float32)
        return {name: value.numpy() for name, value in self._scene.cast_rays(Tensor.from_numpy(rays)).items()}

    def look(self, camera: ParallelCamera, panel: Panel, storey: Storey, oversampling: int) -> Rays:
        """Parallel rays through a panel from the storey's cut to its bottom."""
        start = subpixel_centres(panel, oversampling) @ np.stack([camera.right, camera.up])
        start = start + ((storey.cut_z - start[..., 2]) / camera.forward[2])[..., None] * camera.forward
        answer = self._cast(start, camera.forward)
        seen = answer["t_hit"] <= (storey.bottom_z - storey.cut_z) / camera.forward[2]
        normal = answer["primitive_normals"].astype(np.float64)
        behind = normal @ camera.forward > 0
        distance = np.where(seen, answer["t_hit"], 0)[..., None]
        return Rays(
            seen=seen,
            behind=seen & behind,
            face=np.where(seen, answer["primitive_ids"], 0).astype(np.int64),
            position=start + distance * camera.forward,
            normal=np.where(behind[..., None], -normal, normal),
        )

    def open_share(
        self, rays: Rays, storey: Storey, reach_m: float, directions: int, rng: np.random.Generator
    ) -> np.ndarray:
        """(R, C) float64: share of the directions around the normal in which nothing below the cut is within reach."""
        total = np.zeros(rays.seen.shape)
        for _ in range(directions):
            ball = rng.normal(size=rays.normal.shape)
            direction = rays.normal + ball / np.linalg.norm(ball, axis=-1, keepdims=True)  # dense by the cosine
            direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
            start = rays.position + _SELF_M * rays.normal
            below_cut = np.maximum(storey.cut_z - start[..., 2], 0) / np.maximum(direction[..., 2], 1e-3)
            total += self._cast(start, direction)["t_hit"] >= np.minimum(below_cut, reach_m)
        return total / directions
