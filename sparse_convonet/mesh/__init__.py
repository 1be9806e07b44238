"""Stage mesh: triangle meshes: topology, cleanup, fewer faces, normals, colours, rays, winding numbers."""

from __future__ import annotations
