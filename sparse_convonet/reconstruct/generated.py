"""New shapes from a generative network: codes drawn at random, and codes between two others, as meshes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from sparse_convonet.coordinates import UNIT_PADDING
from sparse_convonet.data.convonet.layout import OCCUPANCY, ModelFolder
from sparse_convonet.data.convonet.samples import read_occupancy
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.model.latent import LatentOccupancyNetwork
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.structures import Mesh, PointSet


def generative(model: TrainedModel) -> LatentOccupancyNetwork:
    """The network of a model.  Raises ValueError where it is none that makes new shapes."""
    network = model.network
    if not isinstance(network, LatentOccupancyNetwork):
        raise ValueError(
            f"{model.name}: expected a generative network (configs/generative), found a {model.config.model.field} one; "
            "name another --model"
        )
    return network


def random_codes(model: TrainedModel, count: int, seed: int) -> np.ndarray:
    """(count, K) float32 from the standard normal distribution; the first ones do not depend on how many follow."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, generative(model).code_width), dtype=np.float32)


def codes_between(first: np.ndarray, last: np.ndarray, steps: int) -> np.ndarray:
    """(steps, K): from one code (K,) to another (K,), both counted, in equal steps along a line."""
    share = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
    return (1 - share) * first + share * last


@torch.no_grad()
def code_of_model(model: TrainedModel, folder: ModelFolder, seed: int) -> np.ndarray:
    """(K,) float32: the mean code of a model of a data set, from as many of its stored queries as in training."""
    network = generative(model)
    stored = read_occupancy(folder.files(OCCUPANCY)[0], with_semantics=False)
    rows = np.random.default_rng(seed).integers(len(stored), size=model.config.data.points)
    device = next(network.parameters()).device
    points = torch.from_numpy(stored.points_unit[rows].astype(np.float32)).to(device)
    shown = torch.from_numpy(stored.occupied[rows][None]).to(device)
    batch = torch.zeros(len(points), dtype=torch.int64, device=device)
    return network.encode_observed(PointSet(points, batch, shown=shown)).mean[0].cpu().numpy()


@torch.no_grad()
def meshes_of_codes(model: TrainedModel, codes: np.ndarray, cells: int, threshold: float) -> Iterator[Mesh]:
    """The mesh of each code (K,) of (N, K), in the unit cube, y up; without faces where nothing reaches the threshold."""
    network = generative(model)
    device = next(network.parameters()).device
    for code in codes:
        field = network.shapes(torch.from_numpy(code[None]).to(device))
        yield field_mesh(network, field, np.zeros((0, 3)), (1 + UNIT_PADDING) / cells, threshold)
