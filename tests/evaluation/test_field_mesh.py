"""Meshes of fields that cover a box: closed at the border of the unit cube, whole in boxes of voxels."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch

from sparse_convonet.coordinates import UNIT_PADDING
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.extract.seeds import box_seed_cells, cube_seed_cells
from sparse_convonet.fields.dense_voxels import DenseVoxelField, VoxelBox
from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.model import OccupancyNetwork


class HalfSpace(OccupancyNetwork):
    """Occupied below z = 0.1 everywhere, also beyond the cube."""

    coordinates: ClassVar[Literal["voxel", "unit"]] = "unit"

    def __init__(self) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> Any:
        return None

    def occupancy(self, field: Any, queries: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (0.1 - queries[:, 2]).float() * 10, torch.ones(len(queries), dtype=torch.bool)


class VoxelBall(HalfSpace):
    """Occupied within 6 voxels of (30, 4, -9)."""

    coordinates = "voxel"

    def occupancy(self, field: Any, queries: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        distance = (queries - torch.tensor([30.0, 4.0, -9.0])).norm(dim=1)
        return (6 - distance).float(), torch.ones(len(queries), dtype=torch.bool)


@pytest.mark.parametrize("cells", [32, 50])
def test_surfaces_are_closed_at_the_border_of_the_padded_cube_and_nothing_lies_beyond(cells: int) -> None:
    cell = (1 + UNIT_PADDING) / cells
    mesh = field_mesh(HalfSpace(), None, np.zeros((0, 3)), cell, 0.5)
    assert is_watertight(mesh.faces, len(mesh.vertices))
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert (low < -0.55 + cell).all() and (low > -0.55 - 2 * cell).all()
    assert (high[:2] < 0.55 + 2 * cell).all() and high[2] == pytest.approx(0.1, abs=1e-6)


def test_a_box_of_voxels_is_meshed_wherever_it_lies() -> None:
    field = DenseVoxelField((VoxelBox(torch.tensor([16, -8, -24]), torch.zeros(1, 32, 24, 32)),))
    mesh = field_mesh(VoxelBall(), field, np.zeros((0, 3)), 0.5, 0.5)
    radii = np.linalg.norm(mesh.vertices - [30.0, 4.0, -9.0], axis=1)
    assert is_watertight(mesh.faces, len(mesh.vertices)) and np.abs(radii - 6).max() < 0.02


def test_seeds_cover_a_box_and_no_more() -> None:
    seeds = box_seed_cells(np.array([-1.0, 0.0, 2.0]), np.array([1.0, 1.1, 3.0]), 0.25, 4)
    assert seeds.min(axis=0).tolist() == [-1, 0, 2] and seeds.max(axis=0).tolist() == [0, 1, 2] and len(seeds) == 4
    cube = cube_seed_cells((1 + UNIT_PADDING) / 128, 4)
    assert len(cube) == 32**3 and cube.min() == -16 and cube.max() == 15
