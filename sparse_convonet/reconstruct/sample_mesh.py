"""One scene through a trained network in one piece: what was observed -> a mesh, with networks of any kind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sparse_convonet.coordinates import UNIT_PADDING, one_scene
from sparse_convonet.data.batching import unit_frame_of, voxel_frame_of
from sparse_convonet.extract.descend import LEARNING_RATE, descend
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.fields.dense_voxels import DenseVoxelField
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.structures import Mesh, PointSet, TrainingSample


@dataclass(frozen=True)
class SampleMesh:
    """mesh: in world metres.  seconds: by stage."""

    mesh: Mesh
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Finishing:
    """What is done to an extracted mesh, in this order, as published: simplify_faces: reduce it to about so many faces;
    refine_steps: so many steps of the published refinement (extract/descend.py).  seed: of its random points."""

    simplify_faces: int | None = None
    refine_steps: int = 0
    seed: int = 0


AS_EXTRACTED = Finishing()


@torch.no_grad()
def sample_mesh(
    model: TrainedModel,
    sample: TrainingSample,
    *,
    cells: int | None,
    threshold: float,
    finishing: Finishing = AS_EXTRACTED,
) -> SampleMesh:
    """Encode a sample and extract its mesh.

    cells: of the mesh along the padded unit cube; None: the cell size that the configuration gives in voxels.
    threshold: occupancy probability at the surface.
    """
    network = model.network
    device = next(network.parameters()).device
    cube = unit_frame_of(sample)
    in_voxels = network.coordinates == "voxel"
    voxels = voxel_frame_of(sample) if in_voxels else None
    points = cube.to_unit(sample.points_world) if voxels is None else voxels.to_voxels(sample.points_world)
    started = time.perf_counter()
    tensor = torch.from_numpy(points).to(device, torch.float32)
    shown = None if sample.shown is None else torch.from_numpy(sample.shown[None]).to(device)
    field = network.encode_observed(PointSet(tensor, one_scene(tensor), shown=shown))
    _wait(device)
    encoded = time.perf_counter()
    on_surface = points if network.sees in ("points", "voxels") else points[:0]  # cells there are always refined
    found = field_mesh(network, field, on_surface, _cell(model, sample, cells), threshold)
    _wait(device)
    finished = time.perf_counter()
    seconds = {"encode": encoded - started, "mesh": finished - encoded}
    if finishing != AS_EXTRACTED:
        unit = 1.0 if voxels is None else cube.metres_per_unit / sample.voxel_size_m
        found = _finished(network, field, found, finishing, threshold, LEARNING_RATE * unit)
        seconds["finish"] = time.perf_counter() - finished
    vertices = cube.to_world(found.vertices) if voxels is None else voxels.to_world(found.vertices)
    return SampleMesh(Mesh(vertices, found.faces), seconds)


def _finished(
    network: OccupancyNetwork, field: Any, mesh: Mesh, finishing: Finishing, threshold: float, learning_rate: float
) -> Mesh:
    if finishing.simplify_faces is not None and len(mesh.faces):
        from sparse_convonet.mesh.simplify import simplify_to_faces  # open3d imports slowly

        mesh = simplify_to_faces(mesh, finishing.simplify_faces)
    return descend(
        mesh,
        lambda points: network.occupancy(field, points, one_scene(points))[0],
        finishing.refine_steps,
        threshold=threshold,
        learning_rate=learning_rate,
        rng=np.random.default_rng(finishing.seed),
        device=next(network.parameters()).device,
        bends=not isinstance(field, SparseField | DenseVoxelField),
    )


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
