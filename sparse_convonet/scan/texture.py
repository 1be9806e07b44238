"""The light mesh of a finished reconstruction with a texture from the colours of the points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.textured import write_textured
from sparse_convonet.mesh.colour import PointColours, has_colour
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.mesh.texture import bake, unwrap
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.runtime.progress import Progress, untold
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


def write_texture(
    path: Path, light_glb: Path, points: PointSource, pixels: int, progress: Progress = untold
) -> TextureFacts:
    """Write the light mesh (metres, y up) with a picture of at most so many texels along each side.

    points: of the scan, metres, z up, with colours.
    """
    mesh = with_area_normals(read_mesh(light_glb))  # y up
    assert mesh.normals is not None
    atlas = unwrap(mesh, pixels)
    places, colours = mesh.vertices @ up_rotation("y").T, _colours_of(points)
    texture = bake(atlas, places, colours.at, lambda share: progress("texture", share))
    cut = Mesh(mesh.vertices[atlas.rows], atlas.faces, mesh.normals[atlas.rows])
    write_textured(path, cut, atlas.places / (atlas.width, atlas.height), texture.picture)
    area_m2 = float(mesh.to_trimesh().area)
    texel_mm = 1000 * float(np.sqrt(area_m2 / max(1, texture.covered)))
    return TextureFacts(atlas.width, atlas.height, atlas.charts, round(texel_mm, 2))


def _colours_of(points: PointSource) -> PointColours:
    """Of the points whose colour is known, thinned where there are too many."""
    places, colours = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.uint8)]
    for part in points.parts():
        assert part.colours is not None
        chosen = in_place_sample(part.points_world, points.count, _MOST_POINTS) & has_colour(part.colours)
        places.append(part.points_world[chosen])
        colours.append(part.colours[chosen])
    found = np.concatenate(places)
    order = np.lexsort(found.T)  # the same tree whatever the parts
    return PointColours(found[order], np.concatenate(colours)[order])
