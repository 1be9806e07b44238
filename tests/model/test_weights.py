"""Weights files: round trip, and refusal of what does not fit."""

from __future__ import annotations

import gc
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.config.models import ModelConfig, SparseModelConfig, counts_layers
from sparse_convonet.config.pretrained import DEFAULT_MODEL, PRETRAINED
from sparse_convonet.model import build
from sparse_convonet.model.weights import load_model, pretrained_path, save_weights
from sparse_convonet.runtime.memory import resident_memory_bytes, return_freed_memory

SMALL_MODEL = SparseModelConfig(
    engine="native", widths=(8, 8), pointnet_width=8, feature_width=8, decoder_width=8, dilate_from_stride=2
)
SMALL = ExperimentConfig(model=SMALL_MODEL)


def test_round_trip_keeps_weights_config_threshold_and_record(tmp_path: Path) -> None:
    network = build(SMALL.model)
    save_weights(network.state_dict(), SMALL, tmp_path / "a.safetensors", threshold=0.35, record={"steps": 3})
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.config == SMALL and loaded.threshold == 0.35 and loaded.record == {"steps": 3}
    assert not loaded.network.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], value)


def test_half_precision_storage_loads_as_float32_within_its_rounding(tmp_path: Path) -> None:
    network = build(SMALL.model)
    save_weights(network.state_dict(), SMALL, tmp_path / "h.safetensors", threshold=0.5, record={}, half=True)
    for name, value in load_model(tmp_path / "h.safetensors").network.state_dict().items():
        assert value.dtype == network.state_dict()[name].dtype
        torch.testing.assert_close(value, network.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_memory_does_not_grow_with_every_time_that_a_model_is_loaded(tmp_path: Path) -> None:
    """safetensors keeps something of each tensor that it hands out from a file."""
    save_weights(build(SMALL.model).state_dict(), SMALL, tmp_path / "a.safetensors", threshold=0.5, record={})

    def load(times: int) -> None:
        for _ in range(times):
            load_model(tmp_path / "a.safetensors")
        gc.collect()
        return_freed_memory()

    load(50)
    before = resident_memory_bytes()
    load(400)
    assert resident_memory_bytes() - before < 1_000_000


def test_weights_that_do_not_fit_the_config_are_refused_by_name(tmp_path: Path) -> None:
    values = build(SMALL.model).state_dict()
    other = replace(SMALL, model=replace(SMALL_MODEL, widths=(8, 16)))
    save_weights(values, other, tmp_path / "shape.safetensors", threshold=0.5, record={})
    with pytest.raises(ValueError, match=r"do not fit their config: .*expected shape"):
        load_model(tmp_path / "shape.safetensors")
    deeper = replace(SMALL, model=replace(SMALL_MODEL, widths=(8, 8, 8)))
    save_weights(values, deeper, tmp_path / "missing.safetensors", threshold=0.5, record={})
    with pytest.raises(ValueError, match="missing"):
        load_model(tmp_path / "missing.safetensors")


def test_files_that_are_no_weights_are_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "junk.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ValueError, match="expected a .safetensors file with weights"):
        load_model(tmp_path / "junk.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="found format None"):
        load_model(tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match="expected a .safetensors file or one of"):
        load_model("castle")
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("name", ["pointnet_blocks", "decoder_blocks", "blocks_per_level"])
def test_a_number_of_layers_beyond_the_tensors_of_the_file_is_refused_before_they_are_built(
    name: str, tmp_path: Path
) -> None:
    values = build(SMALL.model).state_dict()
    changed: dict[str, Any] = {name: len(values) + 1}
    damaged = replace(SMALL, model=replace(SMALL_MODEL, **changed))
    save_weights(values, damaged, tmp_path / "layers.safetensors", threshold=0.5, record={})
    with pytest.raises(
        ValueError, match=rf"model.{name}: expected at most {len(values)}, as the {len(values)} tensors"
    ):
        load_model(tmp_path / "layers.safetensors")


def test_what_counts_layers_is_marked_in_every_kind_of_model() -> None:
    marked = {entry.name for kind in get_args(ModelConfig) for entry in fields(kind) if counts_layers(entry)}
    assert marked == {"pointnet_blocks", "decoder_blocks", "blocks_per_level", "plane_depth", "grid_levels"}
    for kind in get_args(ModelConfig):
        assert all(counts_layers(entry) for entry in fields(kind) if entry.name in marked), kind


def test_all_shipped_models_are_listed_with_a_line() -> None:
    folder = pretrained_path(DEFAULT_MODEL).parent
    assert set(PRETRAINED) == {path.stem for path in folder.glob("*.safetensors")}
    with pytest.raises(ValueError, match=r"one of building_wide \(rooms and .*\), building \(.*\), found neither"):
        load_model("castle")
