"""Stage extract: the published refinement of a mesh, by gradient descent on its vertices.

Mescheder et al. 2019, section 3.3: the occupancy at random points of the faces is drawn to the threshold, and the normals
of the faces to the field's gradient there.  `refine` does the same job without a learning rate and without random points;
this one is for scores beside the published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from sparse_convonet.structures import Mesh

LEARNING_RATE = 1e-4  # sides of the unit cube
_NORMAL_WEIGHT = 0.01
_CONCENTRATION = 0.5  # of the Dirichlet distribution of the points: nearer to corners and edges than uniform
_TINY = 1e-10

Logits = Callable[[torch.Tensor], torch.Tensor]  # (Q, 3) positions -> (Q,), differentiable


def descend(
    mesh: Mesh,
    logits: Logits,
    steps: int,
    *,
    threshold: float,
    learning_rate: float,
    rng: np.random.Generator,
    device: str | torch.device = "cpu",
    bends: bool = True,
) -> Mesh:
    """The mesh after so many steps of RMSprop on its vertices; faces stay, normals are dropped.

    logits: of the field, in the coordinates of the mesh.  threshold: the occupancy probability at the surface.
    learning_rate: in units of the mesh.  bends: whether logits can be differentiated twice; otherwise the direction of the
    gradient counts as constant within a step.
    """
    if steps < 1 or len(mesh.faces) == 0:
        return mesh
    vertices = torch.nn.Parameter(torch.from_numpy(mesh.vertices).to(device, torch.float32))
    faces = torch.from_numpy(mesh.faces).to(device)
    optimizer = torch.optim.RMSprop([vertices], lr=learning_rate)
    with torch.enable_grad():
        for _ in range(steps):
            weights = rng.dirichlet((_CONCENTRATION,) * 3, len(faces)).astype(np.float32)
            loss = _loss(vertices[faces], torch.from_numpy(weights).to(device), logits, threshold, bends)
            optimizer.zero_grad()
            (vertices.grad,) = torch.autograd.grad(loss, [vertices])
            optimizer.step()
    return replace(mesh, vertices=vertices.detach().cpu().numpy().astype(np.float64), normals=None)


def _loss(corners: torch.Tensor, weights: torch.Tensor, logits: Logits, threshold: float, bends: bool) -> torch.Tensor:
    """Of faces (F, 3, 3), each at the point with its barycentric weights (F, 3)."""
    points = (corners * weights[:, :, None]).sum(dim=1)
    crossed = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
    normals = crossed / (crossed.norm(dim=1, keepdim=True) + _TINY)
    occupancy = torch.sigmoid(logits(points))
    (gradient,) = torch.autograd.grad(occupancy.sum(), points, create_graph=bends, retain_graph=True)
    outward = -gradient / (gradient.norm(dim=1, keepdim=True) + _TINY)
    away = (occupancy - threshold).square().mean()
    return away + _NORMAL_WEIGHT * (normals - outward).square().sum(dim=1).mean()
