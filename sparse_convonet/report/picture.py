"""Stage report: a picture of a building's mesh from above at an angle, every storey cut open below its ceiling."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open3d
from open3d.core import Tensor
from PIL import Image
from scipy.ndimage import uniform_filter

from sparse_convonet.io.atomic import atomic_path
from sparse_convonet.report.camera import Panel, ParallelCamera, heading_off_walls, lay_out
from sparse_convonet.report.storeys import Storey, find_storeys
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

_OVERSAMPLING = 2  # rays along each edge of a pixel
_MARGIN_PIXELS = 24
_CHUNK = 1 << 20  # rays at a time
_WHITE = np.array([1.0, 1.0, 1.0])
_SECTION = np.array([0.13, 0.13, 0.15])  # inside the solid at the cut
# Where the mesh has no colours of its own:
_FLOOR_COLOUR = np.array([0.93, 0.88, 0.79])
_TOP_COLOUR = np.array([0.98, 0.98, 0.98])  # table tops and other level faces above the floor
_UPRIGHT_COLOUR = np.array([0.84, 0.87, 0.91])  # walls
_FLOOR_HEIGHT_M = 0.15, 0.30  # level faces turn from floor to top between these heights over the floor
_AMBIENT, _HEADLIGHT, _SUN = 0.55, 0.25, 0.30  # shares of the light
_OCCLUSION_REACH_M = 0.8  # how near something must be to keep the ambient light away
_OCCLUSION_DIRECTIONS = 4
_OCCLUSION_BLUR = 3 * _OVERSAMPLING + 1  # pixels
_SELF_M = 2e-3  # start of a secondary ray off its surface


@dataclass(frozen=True)
class _Hits:
    """What the rays of a panel meet, R = rays.

    seen: (R,) bool.  section: (R,) bool, the ray starts inside the solid.  position, normal: (R, 3) float32, the normal
    towards the viewer.  colour: (R, 3) float64 in [0, 1].
    """

    seen: np.ndarray
    section: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    colour: np.ndarray


def render_cutaway(
    mesh: Mesh,
    path: str | Path,
    width: int = 1600,
    height: int = 1000,
    *,
    heading_deg: float | None = None,
    elevation_deg: float = 58.0,
    solid: bool = True,
    storeys: tuple[Storey, ...] | None = None,
) -> None:
    """Write a PNG of the mesh (world metres, z up): its storeys cut open, side by side, the lowest first.

    heading_deg: direction of view, counter-clockwise from +x (90: x to the right); None chooses one a little
    off the walls.  solid: faces seen from behind are the inside of walls and drawn dark; False for meshes whose faces
    have no dependable outside.  storeys: None finds them.  Raises ValueError for an empty mesh.
    """
    if len(mesh.faces) == 0:
        raise ValueError("picture: expected a mesh with faces, found none; nothing can be shown")
    storeys = find_storeys(mesh) if storeys is None else storeys
    heading = heading_off_walls(mesh) if heading_deg is None else heading_deg
    camera = ParallelCamera.looking_down(heading, elevation_deg)
    panels = lay_out([_shown_box(mesh, storey, camera) for storey in storeys], width, height, _MARGIN_PIXELS)
    scene = _Scene(mesh, solid)
    picture = np.ones((height, width, 3))
    for storey, panel in zip(storeys, panels, strict=True):
        rows, columns = slice(panel.top, panel.top + panel.height), slice(panel.left, panel.left + panel.width)
        picture[rows, columns] = _render_panel(scene, camera, panel, storey)
    _write_png(picture, Path(path))
    logger.info("picture of %d storeys: %s", len(storeys), path)


def _shown_box(mesh: Mesh, storey: Storey, camera: ParallelCamera) -> np.ndarray:
    """(2, 2): lowest and highest (right, up) in the camera's plane of what a storey shows."""
    z = mesh.vertices[:, 2]
    faces = mesh.faces[(z[mesh.faces].min(axis=1) < storey.cut_z) & (z[mesh.faces].max(axis=1) > storey.bottom_z)]
    vertices = mesh.vertices[np.unique(faces)]
    vertices = np.column_stack([vertices[:, :2], vertices[:, 2].clip(storey.bottom_z, storey.cut_z)])
    plane = camera.project(vertices) if len(vertices) else np.zeros((1, 2))
    return np.stack([plane.min(axis=0), plane.max(axis=0)])


def _render_panel(scene: _Scene, camera: ParallelCamera, panel: Panel, storey: Storey) -> np.ndarray:
    """(height, width, 3) float64 in [0, 1]."""
    plane = panel.ray_plane(_OVERSAMPLING)
    rows, columns = plane.shape[:2]
    start = plane.reshape(-1, 2) @ np.stack([camera.right, camera.up])  # (R, 3), on the plane through the origin
    start += ((storey.cut_z - start[:, 2]) / camera.forward[2])[:, None] * camera.forward  # on the cut
    hits = scene.look(start, camera.forward, storey)
    ambient = scene.ambient_light(hits, storey).reshape(rows, columns)
    ambient = _blurred_within(ambient, (hits.seen & ~hits.section).reshape(rows, columns))
    sun = camera.right * -0.5 + camera.up * 0.75 - camera.forward * 0.45
    light = (
        _AMBIENT * ambient.ravel()
        + _HEADLIGHT * np.abs(hits.normal @ camera.forward)
        + _SUN * np.clip(hits.normal @ (sun / np.linalg.norm(sun)), 0, 1)
    )
    colour = hits.colour * np.minimum(light, 1.0)[:, None]
    colour[hits.section] = _SECTION
    colour[~hits.seen] = _WHITE
    shape = (panel.height, _OVERSAMPLING, panel.width, _OVERSAMPLING, 3)
    return colour.reshape(shape).mean(axis=(1, 3))


def _blurred_within(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The mean over the neighbouring pixels that count."""
    weight = uniform_filter(inside.astype(np.float64), _OCCLUSION_BLUR)
    total = uniform_filter(np.where(inside, values, 0.0), _OCCLUSION_BLUR)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)


class _Scene:
    """A mesh ready for rays; moved to the origin, for open3d computes in float32."""

    def __init__(self, mesh: Mesh, solid: bool) -> None:
        self._mesh = mesh
        self._solid = solid
        self._origin = mesh.vertices.mean(axis=0)
        self._scene = open3d.t.geometry.RaycastingScene()
        vertices = Tensor.from_numpy((mesh.vertices - self._origin).astype(np.float32))
        self._scene.add_triangles(vertices, Tensor.from_numpy(mesh.faces.astype(np.uint32)))

    def look(self, start: np.ndarray, forward: np.ndarray, storey: Storey) -> _Hits:
        """Parallel rays from `start` (R, 3), world, to the bottom of the storey."""
        parts = [self._look(start[n : n + _CHUNK], forward, storey) for n in range(0, len(start), _CHUNK)]
        names = ("seen", "section", "position", "normal", "colour")
        return _Hits(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def _look(self, start: np.ndarray, forward: np.ndarray, storey: Storey) -> _Hits:
        rays = np.empty((len(start), 6), dtype=np.float32)
        rays[:, :3], rays[:, 3:] = start - self._origin, forward
        answer = {name: value.numpy() for name, value in self._scene.cast_rays(Tensor.from_numpy(rays)).items()}
        reach = (storey.bottom_z - storey.cut_z) / forward[2]
        seen = answer["t_hit"] <= reach
        face = np.where(seen, answer["primitive_ids"], 0).astype(np.int64)
        distance = np.where(seen, answer["t_hit"], 0)
        away = answer["primitive_normals"] @ forward.astype(np.float32) > 0
        normal = self._normals(face, answer["primitive_uvs"], answer["primitive_normals"])
        normal *= np.where(normal @ forward.astype(np.float32) > 0, -1, 1)[:, None]
        position = rays[:, :3] + distance[:, None] * rays[:, 3:]
        height = position[:, 2] + self._origin[2] - storey.floor_z
        return _Hits(
            seen=seen,
            section=seen & away & self._solid,
            position=position,
            normal=normal,
            colour=self._colours(face, answer["primitive_uvs"], normal, height),
        )

    def ambient_light(self, hits: _Hits, storey: Storey) -> np.ndarray:
        """(R,) float64 in [0, 1]: share of the upper directions in which nothing of the storey is near."""
        lit = np.flatnonzero(hits.seen & ~hits.section)
        light = np.zeros(len(hits.seen))
        cut = np.float32(storey.cut_z - self._origin[2])
        for begin in range(0, len(lit), _CHUNK // _OCCLUSION_DIRECTIONS):
            chunk = lit[begin : begin + _CHUNK // _OCCLUSION_DIRECTIONS]
            direction = _directions_around(hits.normal[chunk], chunk)  # (R, D, 3)
            rays = np.empty((*direction.shape[:2], 6), dtype=np.float32)
            rays[..., :3] = (hits.position[chunk] + _SELF_M * hits.normal[chunk])[:, None]
            rays[..., 3:] = direction
            below_cut = np.maximum(cut - rays[..., 2], 0) / np.maximum(direction[..., 2], 1e-3)
            answer = self._scene.cast_rays(Tensor.from_numpy(rays))
            near = answer["t_hit"].numpy() < np.minimum(below_cut, _OCCLUSION_REACH_M)
            light[chunk] = 1 - near.mean(axis=1)
        return light

    def _normals(self, face: np.ndarray, uv: np.ndarray, of_face: np.ndarray) -> np.ndarray:
        if self._mesh.normals is None:
            return of_face.copy()
        normal = self._interpolated(self._mesh.normals, face, uv)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        return np.where(length > 1e-6, normal / np.maximum(length, 1e-6), of_face).astype(np.float32)

    def _colours(self, face: np.ndarray, uv: np.ndarray, normal: np.ndarray, height: np.ndarray) -> np.ndarray:
        """(R, 3) float64 in [0, 1]: the mesh's colours, or one for floors, one for tops, one for walls."""
        if self._mesh.colours is not None:
            return self._interpolated(self._mesh.colours, face, uv) / 255.0
        level = np.clip(np.abs(normal[:, 2:]) * 2 - 0.8, 0, 1)
        raised = np.interp(height, _FLOOR_HEIGHT_M, (0.0, 1.0))[:, None]
        return level * (raised * _TOP_COLOUR + (1 - raised) * _FLOOR_COLOUR) + (1 - level) * _UPRIGHT_COLOUR

    def _interpolated(self, values: np.ndarray, face: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """(R, C) float64: vertex values (V, C) at barycentric (R, 2) positions within faces (R,)."""
        corners = values[self._mesh.faces[face]].astype(np.float64)  # (R, 3, C)
        weights = np.column_stack([1 - uv.sum(axis=1), uv])
        return np.einsum("rk,rkc->rc", weights, corners)


def _directions_around(normal: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """(R, D, 3) float32: cosine-weighted directions around normals, turned differently for neighbouring rays.

    A spiral turned by the golden ratio per ray spreads evenly over the pixels that the blur joins.
    """
    index = (np.arange(_OCCLUSION_DIRECTIONS) + 0.5) / _OCCLUSION_DIRECTIONS
    turn = (ray * 0.618034 % 1.0)[:, None] + np.arange(_OCCLUSION_DIRECTIONS) * 0.381966
    across, height = np.sqrt(index), np.sqrt(1 - index)
    helper = np.where(np.abs(normal[:, :1]) < 0.7, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = np.cross(normal, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(normal, first)
    angle = 2 * np.pi * turn
    direction = (across * np.cos(angle))[..., None] * first[:, None]
    direction += (across * np.sin(angle))[..., None] * second[:, None]
    direction += height[None, :, None] * normal[:, None]
    return direction.astype(np.float32)


def _write_png(picture: np.ndarray, path: Path) -> None:
    image = Image.fromarray(np.rint(picture.clip(0, 1) * 255).astype(np.uint8))
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
