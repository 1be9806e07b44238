"""The light mesh of a finished reconstruction with a texture from the colours of the points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.textured import write_textured
from sparse_convonet.mesh.colour import NEIGHBOURS, blend, has_colour
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.mesh.texture import bake, unwrap
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.structures import Mesh

TEXTURE_FILE = "mesh_textured.glb"
TEXTURE_PIXELS = 4096
LEAST_PIXELS, MOST_PIXELS = 256, 16384
_MOST_POINTS = 4_000_000  # more are thinned: their tree takes 60 bytes each


@dataclass(frozen=True)
class TextureFacts:
    """width, height: texels.  charts: flat parts of the surface.  texel_mm: edge of a texel on the surface, on average."""

    width: int
    height: int
    charts: int
    texel_mm: float


def require_texture() -> None:
    """Raise ValueError where the package that lays out textures is missing."""
    require_package("xatlas", "texture", "--texture")


def write_texture(path: Path, light_glb: Path, points: PointSource, pixels: int) -> TextureFacts:
    """Write the light mesh (metres, y up) with a picture of at most so many texels along each side.

    points: of the scan, metres, z up, with colours.
    """
    mesh = read_mesh(light_glb)  # y up
    atlas = unwrap(mesh, pixels)
    colours = _PointColours(points)
    to_z_up = up_rotation("y")
    texture = bake(atlas, mesh.vertices @ to_z_up.T, colours.at)
    upright = Mesh(mesh.vertices[atlas.rows], atlas.faces)
    normals = np.asarray(mesh.to_trimesh().vertex_normals[atlas.rows], dtype=np.float32)
    places = atlas.places / (atlas.width, atlas.height)
    write_textured(path, Mesh(upright.vertices, upright.faces, normals), places, texture.picture)
    area_m2 = float(mesh.to_trimesh().area)
    texel_mm = 1000 * float(np.sqrt(area_m2 / max(1, texture.covered)))
    return TextureFacts(atlas.width, atlas.height, atlas.charts, round(texel_mm, 2))


class _PointColours:
    """The colours of the points whose colour is known, as mesh.colour blends them; black where there are none."""

    def __init__(self, points: PointSource) -> None:
        places, colours = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.uint8)]
        for part in points.parts():
            assert part.colours is not None
            chosen = in_place_sample(part.points_world, points.count, _MOST_POINTS) & has_colour(part.colours)
            places.append(part.points_world[chosen])
            colours.append(part.colours[chosen])
        found, of_found = np.concatenate(places), np.concatenate(colours)
        order = np.lexsort(found.T)  # the same tree whatever the parts
        self._tree, self._colours = cKDTree(found[order]), of_found[order]

    def at(self, places: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3) uint8."""
        drawn = np.zeros((len(places), 3), dtype=np.uint8)
        count = min(NEIGHBOURS, len(self._colours))
        if count == 0:
            return drawn
        for chunk in query_chunks(len(places)):
            distance, nearest = self._tree.query(places[chunk], k=range(1, count + 1), workers=-1)
            drawn[chunk] = blend(distance, self._colours[nearest])
        return drawn
