"""Write a mesh with a texture: .glb, the picture within it as JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sparse_convonet.io.meshes import glb_of
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

_ROUGH = 1.0  # no gloss: the picture is what the camera saw


def write_textured(path: Path, mesh: Mesh, places: np.ndarray, picture: np.ndarray) -> None:
    """A .glb of a mesh (metres, y up, with normals) and its picture (H, W, 3) uint8.

    places: (V, 2), from 0 to 1 from the upper left corner of the picture, x and y.
    """
    import trimesh

    image: Any = Image.fromarray(picture)
    image.format = "JPEG"  # so that trimesh stores it so, not as a PNG of many times the size
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, metallicFactor=0.0, roughnessFactor=_ROUGH)
    upwards = np.column_stack([places[:, 0], 1 - places[:, 1]])  # as trimesh counts
    shown = trimesh.Trimesh(
        mesh.vertices,
        mesh.faces,
        vertex_normals=mesh.normals,
        visual=trimesh.visual.TextureVisuals(uv=upwards, material=material),
        process=False,
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(glb_of(shown))
