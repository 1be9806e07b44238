"""Occupancy queries per second in a field of a building's size: lookup and decoder, and each alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.mesh.query_chunks import QUERIES_AT_ONCE
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model.weights import load_model
from tests.benchmarks.shells import points_in, room_shell
from tests.benchmarks.tables import column
from tests.benchmarks.timing import interleaved_seconds

TEXT = (
    "Millions of queries per second, medians, taking turns, in chunks of 131,072 as the reconstruction makes them; "
    "queries scatter by one voxel around the surface. Ordered: by the voxel they lie in, as mesh extraction asks. "
    "Decoder alone: the same loop over as many queries within one voxel, whose cells are found once."
)


@dataclass(frozen=True)
class QueryRow:
    order: str = column("order of the queries")
    voxels: int = column("finest voxels", "{:,}")
    queries: int = column("queries", "{:,}")
    whole: float = column("lookup and decoder, M/s", "{:.2f}")
    lookup: float = column("lookup alone, M/s", "{:.2f}")
    decoder: float = column("decoder alone, M/s", "{:.2f}")
    torch_decoder: float = column("decoder alone in torch, M/s", "{:.2f}")
    share: float = column("whole / decoder alone", "{:.2f}")


@torch.no_grad()
def run(quick: bool) -> list[QueryRow]:
    """Queries ordered and at random, in the field that the shipped model makes of a shell."""
    repeats, voxels, count = (1, 1000, 5000) if quick else (7, 200_000, 1 << 20)
    network = load_model("building", engine="native").sparse
    points = points_in(room_shell(voxels), 4)
    field = network.encode(points, torch.zeros(len(points), dtype=torch.int64))
    generator = torch.Generator().manual_seed(1)
    anchors = points[torch.randint(len(points), (count,), generator=generator)]
    scattered = anchors + torch.randn(anchors.shape, generator=generator)
    cells = torch.nn.functional.pad(torch.floor(scattered).to(torch.int64), (1, 0))
    ordered = scattered[torch.argsort(pack_keys(cells))]
    return [_row(network, field, *each, repeats) for each in (("ordered", ordered), ("random", scattered))]


def _row(
    network: SparseOccupancyNetwork, field: SparseField, order: str, queries: torch.Tensor, repeats: int
) -> QueryRow:
    chunks = queries.split(QUERIES_AT_ONCE)
    # Half a voxel wide, so that no cell of any level changes within it.
    in_one_voxel = [torch.floor(queries[:1]) + 0.5 + (chunk - torch.floor(chunk)) / 2 for chunk in chunks]
    scenes = [torch.zeros(len(chunk), dtype=torch.int64) for chunk in chunks]
    samples = [field.sample(*pair) for pair in zip(chunks, scenes, strict=True)]
    tasks: dict[str, Callable[[], object]] = {
        "whole": lambda: [network.occupancy(field, *pair) for pair in zip(chunks, scenes, strict=True)],
        "lookup": lambda: [field.sample(*pair) for pair in zip(chunks, scenes, strict=True)],
        "decoder": lambda: [network.occupancy(field, *pair) for pair in zip(in_one_voxel, scenes, strict=True)],
        "torch_decoder": lambda: [
            network.decoder(chunk, each.features, each.weights) for chunk, each in zip(chunks, samples, strict=True)
        ],
    }
    rates = {name: len(queries) / each / 1e6 for name, each in interleaved_seconds(tasks, repeats).items()}
    share = rates["whole"] / rates["decoder"]
    return QueryRow(order, len(field.levels[0].keys), len(queries), share=share, **rates)
