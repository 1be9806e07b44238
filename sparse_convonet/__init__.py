"""sparse_convonet: one clean mesh from the point cloud of a whole building."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sparse_convonet.runtime.version import __version__ as __version__

if TYPE_CHECKING:  # what type checkers and editors see; each name is loaded at its first use
    from sparse_convonet.clouds.cleaning import clean_points as clean_points
    from sparse_convonet.config.experiment import load_config as load_config
    from sparse_convonet.evaluation.mesh_scores import evaluate_mesh as evaluate_mesh
    from sparse_convonet.io.meshes import write_mesh as write_mesh
    from sparse_convonet.io.points import read_points as read_points
    from sparse_convonet.model import build as build_model
    from sparse_convonet.model.official import import_official as import_official
    from sparse_convonet.model.weights import load_model as load_model
    from sparse_convonet.plan.settings import ReconstructionSettings as ReconstructionSettings
    from sparse_convonet.reconstruct.occupancy_field import OccupancyField as OccupancyField
    from sparse_convonet.reconstruct.reconstructor import Reconstruction as Reconstruction
    from sparse_convonet.reconstruct.reconstructor import Reconstructor as Reconstructor
    from sparse_convonet.scan.run import ScanRequest as ScanRequest
    from sparse_convonet.scan.run import reconstruct_scan as reconstruct_scan
    from sparse_convonet.structures import Mesh as Mesh
    from sparse_convonet.structures import PointCloud as PointCloud

# Where each public name lives; loaded at first use, so that importing a part does not import everything.
_HOMES = {
    "Mesh": "structures",
    "OccupancyField": "reconstruct.occupancy_field",
    "PointCloud": "structures",
    "Reconstruction": "reconstruct.reconstructor",
    "ReconstructionSettings": "plan.settings",
    "Reconstructor": "reconstruct.reconstructor",
    "ScanRequest": "scan.run",
    "build_model": "model:build",
    "clean_points": "clouds.cleaning",
    "evaluate_mesh": "evaluation.mesh_scores",
    "import_official": "model.official",
    "load_config": "config.experiment",
    "load_model": "model.weights",
    "read_points": "io.points",
    "reconstruct_scan": "scan.run",
    "write_mesh": "io.meshes",
}
__all__ = [
    "Mesh",
    "OccupancyField",
    "PointCloud",
    "Reconstruction",
    "ReconstructionSettings",
    "Reconstructor",
    "ScanRequest",
    "build_model",
    "clean_points",
    "evaluate_mesh",
    "import_official",
    "load_config",
    "load_model",
    "read_points",
    "reconstruct_scan",
    "write_mesh",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


if not TYPE_CHECKING:  # a checker that saw it would take any name for a public one

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(
                f"module 'sparse_convonet' has no attribute {name!r}; public names: {', '.join(__all__)}"
            )
        module, _, inner = _HOMES[name].partition(":")
        return getattr(importlib.import_module(f"sparse_convonet.{module}"), inner or name)
