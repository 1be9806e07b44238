"""Stage out_of_core: the tiles of a surface joined in memory, in the order of a surface that was found in one piece."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.extract.lattice import pack_lattice, unpack_lattice
from sparse_convonet.extract.tile_pieces import label_tile
from sparse_convonet.mesh.finish import finish_mesh
from sparse_convonet.mesh.normals import with_normals_along
from sparse_convonet.out_of_core.assembly.finishing import FinishedTiles
from sparse_convonet.out_of_core.assembly.point_colours import colours_near
from sparse_convonet.out_of_core.assembly.point_errors import with_errors
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh

_COLOUR_MARGIN_VOXELS = 2.0  # around the mesh, in which nearly all vertices have their nearest points


def whole_mesh(
    tiles: FinishedTiles,
    points: PointSource,
    frame: TileFrame,
    settings: ReconstructionSettings,
    points_per_voxel: float,
    progress: Progress,
) -> Mesh:
    """The mesh of all tiles in the world, metres, z up: joined, simplified as the settings say, with normals, colours and
    the errors expected.

    It may be empty.
    """
    joined = join_tiles(tiles)
    joined = replace(joined, vertices=frame.voxels.to_world(joined.vertices))
    margin = _COLOUR_MARGIN_VOXELS * frame.voxels.voxel_size_m

    def dress(mesh: Mesh) -> Mesh:
        if points.has_colours and points.count > 0:
            mesh = replace(mesh, colours=colours_near(points, mesh.vertices, margin))
        return with_errors(mesh, points, frame.voxels, points_per_voxel)

    return finish_mesh(joined, settings.simplify_faces, settings.simplify_error_m, dress, progress)


def join_tiles(tiles: FinishedTiles) -> Mesh:
    """The pieces that stay, in voxel coordinates, with the field's normals where these were asked for.

    Vertices are in the order of their lattice edges and faces in that of their cells (extract.marching_cubes), so that it
    is the mesh of one piece, bit by bit.
    """
    keys, corners = [np.zeros(0, dtype=np.int64)], [np.zeros((0, 3), dtype=np.int64)]
    vertices, gradients = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.float32)]
    for number, name in enumerate(tiles.pieces.names):
        pieces = tiles.pieces.stays(number)
        if not pieces.any():
            continue
        mesh = tiles.folder.mesh(name)
        stays = pieces[label_tile(mesh)[0]]
        keys.append(mesh.keys[stays & mesh.own])
        vertices.append(mesh.vertices[stays & mesh.own])
        corners.append(mesh.keys[mesh.faces[stays[mesh.faces[:, 0]]]])
        if tiles.has_gradients:
            gradients.append(tiles.gradients(name)[stays[mesh.own]])
    every, of_faces = np.concatenate(keys), np.concatenate(corners)
    del keys, corners
    order = np.argsort(every)
    faces = np.searchsorted(every[order], of_faces)[np.argsort(cells_of_faces(of_faces), kind="stable")]
    joined = Mesh(np.concatenate(vertices)[order], faces)
    return with_normals_along(joined, np.concatenate(gradients)[order]) if tiles.has_gradients else joined


def cells_of_faces(corners: np.ndarray) -> np.ndarray:
    """(F,) int64 keys of the lattice cells of faces, by the keys (F, 3) of their vertices.

    A face does not lie in a face of its cell, so along every axis the edge of one of its vertices begins where the cell
    does.
    """
    low = unpack_lattice(corners[:, 0] >> 2)
    for corner in (1, 2):
        np.minimum(low, unpack_lattice(corners[:, corner] >> 2), out=low)
    return pack_lattice(low)
