"""sparse_convonet: one clean mesh from the point cloud of a whole building."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Where each public name lives; loaded at first use, so that importing a part does not import everything.
_HOMES = {
    "Reconstructor": "sparse_convonet.reconstruct",
    "ReconstructionSettings": "sparse_convonet.reconstruct",
    "load_model": "sparse_convonet.weights",
    "read_points": "sparse_convonet.io.points",
    "PointCloud": "sparse_convonet.structures",
    "Mesh": "sparse_convonet.structures",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sparse_convonet' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
