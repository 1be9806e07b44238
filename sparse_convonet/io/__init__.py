"""Points and meshes from and to files."""

from __future__ import annotations

from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import read_points, write_points

__all__ = ["read_mesh", "read_points", "write_mesh", "write_points"]
