"""A dense network on a building, crop by crop, as the papers do it (Peng et al. 2020, section 4.4), and its seams.

Each crop is encoded with as much around it as its features depend on.  What still differs between neighbouring crops
comes from normalisation over the whole crop; it is measured where crops meet.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from skimage.measure import marching_cubes

from sparse_convonet.coordinates import one_scene
from sparse_convonet.extract.mise import threshold_logit
from sparse_convonet.fields.dense_voxels import DenseVoxelField
from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.structures import Mesh

_QUERY_CHUNK = 1 << 18

Place = tuple[int, int, int]


@dataclass(frozen=True)
class SlidingWindowMesh:
    """mesh: of all crops side by side, not sewn together.  seams: (S,) absolute differences of the logits of two
    crops where they meet.  encoded, skipped: numbers of crops with and without points.  encode_s: seconds of the whole
    that encoding took."""

    mesh: Mesh
    seams: np.ndarray
    encoded: int
    skipped: int
    encode_s: float


@torch.no_grad()
def sliding_window_mesh(
    network: DenseVoxelNetwork,
    points: np.ndarray,  # (N, 3) voxel coordinates
    crop: int,
    cells_per_voxel: int,
    threshold: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SlidingWindowMesh:
    """The surface at `threshold` (a probability) in voxel coordinates; crops of `crop`^3 voxels.

    Raises ValueError where crop is no multiple of the network's stride.
    """
    if crop < 1 or crop % network.stride:
        raise ValueError(f"crop: expected a multiple of {network.stride} voxels, found {crop}")
    # Crops begin one voxel before the points: with the points on a border, most crops would be needed for that voxel.
    origin = np.floor(points.min(axis=0)) - 1
    points = points - origin
    owner = np.floor(points / crop).astype(np.int64)
    # A surface may lie in a crop beside its points: crops next to one with points are looked at as well.
    near = np.unique(np.floor((points[:, None] + _NUDGES).reshape(-1, 3) / crop).astype(np.int64), axis=0)
    low, high = owner.min(axis=0), owner.max(axis=0)
    total = int(np.prod(high - low + 1))
    level = threshold_logit(threshold)
    faces_high: dict[tuple[Place, int], np.ndarray] = {}
    seams: list[np.ndarray] = []
    parts: list[Mesh] = []
    encode_s = 0.0
    for done, row in enumerate(near.tolist()):
        progress(done, len(near))
        place: Place = (row[0], row[1], row[2])
        started = time.perf_counter()
        field = _crop_field(network, points, place, crop)
        encode_s += time.perf_counter() - started
        logits = _crop_logits(network, field, place, crop, cells_per_voxel)
        for axis in range(3):
            before = tuple(value - (index == axis) for index, value in enumerate(place))
            shared = faces_high.pop(((before[0], before[1], before[2]), axis), None)
            if shared is not None:
                seams.append(np.abs(shared - logits.take(0, axis=axis)).ravel())
            faces_high[place, axis] = logits.take(-1, axis=axis)
        mesh = _surface(logits, level)
        parts.append(Mesh(mesh.vertices / cells_per_voxel + np.array(place) * crop + origin, mesh.faces))
    progress(len(near), len(near))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    mesh = Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)]),
    )
    differences = np.concatenate(seams) if seams else np.zeros(0)
    return SlidingWindowMesh(mesh, differences, len(near), max(0, total - len(near)), encode_s)


_NUDGES = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


def _crop_field(network: DenseVoxelNetwork, points: np.ndarray, place: Place, crop: int) -> DenseVoxelField:
    """The features of one crop and the halo around it."""
    begin = np.array(place) * crop
    low, high = begin - network.halo, begin + crop + network.halo
    inside = ((points >= low) & (points < high)).all(axis=1)
    box_low, size = torch.from_numpy(low), torch.from_numpy(high - low)
    device = next(network.parameters()).device
    local = torch.from_numpy(points[inside]).to(device)
    return network.field_of([network.encode_box(local, box_low.to(device), size)])


def _crop_logits(
    network: DenseVoxelNetwork, field: DenseVoxelField, place: Place, crop: int, cells_per_voxel: int
) -> np.ndarray:
    """Logits (S, S, S), S = crop * cells_per_voxel + 1, of the lattice over one crop, borders included."""
    begin = np.array(place) * crop
    device = next(network.parameters()).device
    steps = torch.arange(crop * cells_per_voxel + 1, dtype=torch.float64) / cells_per_voxel
    lattice = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1).reshape(-1, 3)
    parts = []
    for part in lattice.split(_QUERY_CHUNK):
        queries = (part + torch.from_numpy(begin)).to(device)
        parts.append(network.occupancy(field, queries, one_scene(queries))[0])
    return torch.cat(parts).cpu().numpy().reshape((len(steps),) * 3)


def _surface(logits: np.ndarray, level: float) -> Mesh:
    if not logits.min() < level < logits.max():
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    vertices, faces, _, _ = marching_cubes(logits, level, gradient_direction="ascent")
    return Mesh(vertices.astype(np.float64), faces.astype(np.int64))
