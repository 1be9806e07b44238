"""What `sparse-convonet data views` does, once its options are read."""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparse_convonet.data.convonet.layout import find_models
from sparse_convonet.data.convonet.renderings import CAMERAS, FOLDER, View, write_views
from sparse_convonet.data.sets.object_recipes import MESH_FILE
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.picture.perspective import render_scene, views_around
from sparse_convonet.report.shape_sheet import Y_UP


def render_views(options: argparse.Namespace) -> None:
    """The pictures, and a line about them."""
    if options.path.is_dir():
        models = find_models(options.path)
        pairs = [(model.path / MESH_FILE, model.path / FOLDER) for model in models]
    else:
        pairs = [(options.path, options.out)]
    # cameras.npz is written last: where it is, all pictures are.
    missing = [pair for pair in pairs if options.overwrite or not (pair[1] / CAMERAS).is_file()]
    if not options.path.is_dir() and not missing:
        raise ValueError(f"{options.out}: holds pictures already; add --overwrite or name another folder")
    for mesh, folder in tqdm(missing, unit="mesh", disable=None):
        _render(mesh, folder, options)
    there = len(pairs) - len(missing)
    print(
        f"{options.path}: {options.views} pictures of each of {len(missing)} meshes rendered, {there} had some already"
    )


def _render(path: Path, folder: Path, options: argparse.Namespace) -> None:
    mesh = read_mesh(path)
    rng = np.random.default_rng([options.seed, zlib.crc32(str(path.parent.name).encode())])
    cameras = views_around(mesh, options.views, options.pixels, rng, Y_UP)
    scene = TriangleScene(mesh.vertices, mesh.faces)
    views = [View(render_scene(scene, each, Y_UP), each.world_to_camera, each.intrinsics) for each in cameras]
    folder.mkdir(parents=True, exist_ok=True)
    write_views(folder, views)
