"""One scene through a trained network in one piece: what was observed -> a mesh, with networks of any kind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from sparse_convonet.coordinates import UNIT_PADDING, VoxelFrame, one_scene
from sparse_convonet.data.batching import unit_frame_of
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.structures import Mesh, TrainingSample


@dataclass(frozen=True)
class SampleMesh:
    """mesh: in world metres.  seconds: by stage."""

    mesh: Mesh
    seconds: Mapping[str, float]


@torch.no_grad()
def sample_mesh(model: TrainedModel, sample: TrainingSample, *, cells: int | None, threshold: float) -> SampleMesh:
    """Encode a sample and extract its mesh.

    cells: of the mesh along the padded unit cube; None: the cell size that the configuration gives in voxels.
    threshold: occupancy probability at the surface.
    """
    network = model.network
    device = next(network.parameters()).device
    cube = unit_frame_of(sample)
    voxels = VoxelFrame.around(sample.points_world, sample.voxel_size_m)
    in_voxels = network.coordinates == "voxel"
    points = voxels.to_voxels(sample.points_world) if in_voxels else cube.to_unit(sample.points_world)
    started = time.perf_counter()
    tensor = torch.from_numpy(points).to(device, torch.float32)
    field = network.encode(tensor, one_scene(tensor))
    _wait(device)
    encoded = time.perf_counter()
    found = field_mesh(network, field, points, _cell(model, sample, cells), threshold)
    _wait(device)
    finished = time.perf_counter()
    vertices = voxels.to_world(found.vertices) if in_voxels else cube.to_world(found.vertices)
    return SampleMesh(Mesh(vertices, found.faces), {"encode": encoded - started, "mesh": finished - encoded})


def _cell(model: TrainedModel, sample: TrainingSample, cells: int | None) -> float:
    """The edge of a cell in the coordinates of the network."""
    in_voxels, metres_per_unit = model.network.coordinates == "voxel", unit_frame_of(sample).metres_per_unit
    if cells is not None:
        cell_unit = (1 + UNIT_PADDING) / cells
        return cell_unit * metres_per_unit / sample.voxel_size_m if in_voxels else cell_unit
    share = model.config.mesh.cell_share
    return share if in_voxels else share * sample.voxel_size_m / metres_per_unit


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
