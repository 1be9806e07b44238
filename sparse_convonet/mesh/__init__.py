"""Stage mesh: from an occupancy field to one clean triangle mesh, in field (voxel) coordinates."""

from __future__ import annotations
