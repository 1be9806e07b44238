"""Native against MinkowskiEngine: whole networks, and the mesh they lead to."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from sparse_convonet.config.models import EngineName, SparseModelConfig
from sparse_convonet.engine import native as native_engine
from sparse_convonet.model import build_sparse
from sparse_convonet.model.weights import load_model
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.structures import PointCloud
from tests.engine.conftest import assert_close
from tests.synthetic_scan import room_points


@pytest.mark.parametrize(("source", "target"), [("native", "minkowski"), ("minkowski", "native")])
def test_state_dicts_load_both_ways(minkowski: ModuleType, source: str, target: str) -> None:
    engines = {"native": native_engine, "minkowski": minkowski}
    torch.manual_seed(0)
    networks = [build_sparse(SparseModelConfig(), engines[name]).eval() for name in (source, target)]
    networks[1].load_state_dict(networks[0].state_dict())
    points = torch.from_numpy(room_points(1500) / 0.2)
    with torch.no_grad():
        fields = [network.encode(points, torch.zeros(len(points), dtype=torch.int64)) for network in networks]
    for first, second in zip(fields[0].levels, fields[1].levels, strict=True):
        assert torch.equal(first.keys, second.keys)
        assert_close(first.features, second.features, f"stride {first.stride}")


def test_a_network_with_context_and_hints_makes_the_same_levels(minkowski: ModuleType) -> None:
    config = SparseModelConfig(
        pointnet_width=8, widths=(8, 8, 16), context_widths=(8, 12), point_hints=True, feature_width=8, decoder_width=8
    )
    torch.manual_seed(0)
    networks = [build_sparse(config, engine).eval() for engine in (native_engine, minkowski)]
    for name in ("take_context", "pointnet.hint_lift"):
        torch.nn.init.normal_(networks[0].get_submodule(name).weight)  # type: ignore[arg-type]
    networks[1].load_state_dict(networks[0].state_dict())
    points = torch.from_numpy(room_points(800) / 0.2)
    hints = torch.nn.functional.normalize(torch.randn(len(points), 6), dim=1)
    batch = torch.arange(len(points)) % 2
    with torch.no_grad():
        contexts = [network.look_around(points, batch, hints) for network in networks]
        fields = [network.encode(points, batch, hints) for network in networks]
    assert contexts[0] is not None and contexts[1] is not None
    assert torch.equal(contexts[0].keys, contexts[1].keys)
    assert_close(contexts[0].features, contexts[1].features, "context")
    for first, second in zip(fields[0].levels, fields[1].levels, strict=True):
        assert torch.equal(first.keys, second.keys)
        assert_close(first.features, second.features, f"stride {first.stride}")


def test_the_shipped_model_makes_the_same_levels_and_the_same_mesh(minkowski: ModuleType) -> None:
    names: tuple[EngineName, ...] = ("native", "minkowski")
    models = [load_model("building", engine=name) for name in names]
    assert [model.sparse.unet.engine for model in models] == [native_engine, minkowski]
    points = room_points(8000)
    voxels = torch.from_numpy((points - points.min(axis=0)) / 0.15)
    with torch.no_grad():
        fields = [model.sparse.encode(voxels, torch.zeros(len(voxels), dtype=torch.int64)) for model in models]
    for ours, theirs in zip(fields[0].levels, fields[1].levels, strict=True):
        assert torch.equal(ours.keys, theirs.keys)
        assert_close(ours.features, theirs.features, f"stride {ours.stride}")

    settings = ReconstructionSettings(voxel_size_m=0.15, cell_size_m=0.15)
    meshes = [Reconstructor(model, settings).run(PointCloud(points)).mesh for model in models]
    assert len(meshes[0].faces) > 1000
    assert np.array_equal(meshes[0].faces, meshes[1].faces)
    assert np.abs(meshes[0].vertices - meshes[1].vertices).max() <= 1e-4  # metres
