"""Stage mesh: a mesh moved between the world (metres, z up) and the frame and units of its scan."""

from __future__ import annotations

from dataclasses import replace

from sparse_convonet.coordinates import ScanFrame
from sparse_convonet.structures import Mesh


def in_scan(mesh_world: Mesh, frame: ScanFrame) -> Mesh:
    """A mesh in the world -> the same mesh in the frame and units of the scan."""
    normals = None if mesh_world.normals is None else frame.directions_to_scan(mesh_world.normals)
    return replace(mesh_world, vertices=frame.to_scan(mesh_world.vertices), normals=normals)


def in_world(mesh_scan: Mesh, frame: ScanFrame) -> Mesh:
    """A mesh in the frame and units of the scan -> the same mesh in the world."""
    normals = None if mesh_scan.normals is None else frame.directions_to_world(mesh_scan.normals)
    return replace(mesh_scan, vertices=frame.to_world(mesh_scan.vertices), normals=normals)
