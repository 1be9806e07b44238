"""Training: schedule, resumption, checkpoints that load nothing unsafe."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from sparse_convonet.config.experiment import ExperimentConfig, config_from_mapping, load_config
from sparse_convonet.data.batching import TrainingStream
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.model.weights import load_model
from sparse_convonet.training.checkpoint import load_state
from sparse_convonet.training.loop import learning_rate_share, train
from sparse_convonet.training.scenes import validation_sets
from tests.data.convonet.small_set import write_set

CPU = torch.device("cpu")


def tiny_config(**training: object) -> ExperimentConfig:
    return config_from_mapping(
        {
            "model": {
                "engine": "native",
                "widths": [8, 8, 8],
                "pointnet_width": 8,
                "pointnet_blocks": 2,
                "feature_width": 8,
                "decoder_width": 8,
                "decoder_blocks": 2,
            },
            "data": {"scenes": "rooms", "observation": "uniform", "points": 400, "queries": 128},
            "training": {
                "steps": 4,
                "batch": 2,
                "warmup_steps": 2,
                "workers": 0,
                "validation_scenes": 2,
                "validate_every": 2,
                "checkpoint_every": 2,
                "picture_every": 0,
                **training,
            },
        },
        "test",
    )


def test_learning_rate_warms_up_then_falls_to_one_percent() -> None:
    settings = tiny_config(steps=1000, warmup_steps=100).training
    shares = [learning_rate_share(step, settings) for step in range(1000)]
    assert shares[0] == pytest.approx(0.01, abs=1e-3)
    assert max(shares) == pytest.approx(0.98, abs=0.02)
    assert shares[-1] == pytest.approx(0.01, abs=1e-3)
    assert all(a >= b for a, b in zip(shares[100:], shares[101:], strict=False))


def test_resumed_run_ends_with_the_same_weights_as_an_undisturbed_one(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(tiny_config(), tmp_path / "whole", CPU, resume=False)
    train(tiny_config(minutes=1e-9, checkpoint_every=1), tmp_path / "parts", CPU, resume=False)  # stops after one step
    assert load_state(tmp_path / "parts" / "last.pt", CPU).step == 1
    train(tiny_config(), tmp_path / "parts", CPU, resume=True)
    whole, parts = (load_state(tmp_path / name / "last.pt", CPU) for name in ("whole", "parts"))
    assert whole.step == parts.step == 4
    for name, value in whole.model.items():
        torch.testing.assert_close(parts.model[name], value, atol=1e-6, rtol=1e-6)
    for name, value in whole.averaged.items():
        torch.testing.assert_close(parts.averaged[name], value, atol=1e-6, rtol=1e-6)
    model = load_model(tmp_path / "whole" / "last.safetensors")
    assert model.record["steps"] == 4 and model.sparse.unet.widths == (8, 8, 8)


@pytest.mark.parametrize("batch", [1, 4])
def test_the_loss_on_the_bar_is_of_one_query(tmp_path: Path, capfd: pytest.CaptureFixture[str], batch: int) -> None:
    train(tiny_config(steps=1, warmup_steps=0, batch=batch), tmp_path, CPU, resume=False)
    shown = float(re.findall(r"loss=([0-9.]+)", capfd.readouterr().err)[-1])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert 0.3 < shown < 3  # random weights: about log 2
    assert shown == pytest.approx(events.Scalars("loss")[0].value / 128, abs=1e-3)


def test_curves_pictures_and_mesh_are_in_the_event_file(tmp_path: Path) -> None:
    train(tiny_config(steps=2, warmup_steps=1, picture_every=2, mesh_every=2), tmp_path, CPU, resume=False)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    tags = events.Tags()
    assert {"loss", "iou/training", "iou/validation_rooms", "iou/validation_crops", "learning_rate"} <= set(
        tags["scalars"]
    )
    assert [event.step for event in events.Scalars("loss")] == [1, 2]
    assert "slice" in tags["images"] and events.Images("slice")[0].width == 160
    assert load_config(tmp_path / "config.yaml").training.mesh_every == 2


def test_training_on_a_folder_validates_on_its_val_list_and_resumes(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set")
    config = tiny_config()
    data = replace(
        config.data, folder=str(folder), near_surface_share=0.0, voxel_size_m=(0.03, 0.05), noise_m=0.005, crop_m=1.0
    )
    config = replace(config, data=data)
    train(config, tmp_path / "whole", CPU, resume=False)
    halfway = replace(config, training=replace(config.training, minutes=1e-9))
    train(halfway, tmp_path / "halves", CPU, resume=False)
    score = train(config, tmp_path / "halves", CPU, resume=True)
    assert 0 <= score.best_iou <= 1
    whole, halves = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "halves"))
    assert all(torch.allclose(whole[key], halves[key], atol=1e-6) for key in whole)
    events = EventAccumulator(str(tmp_path / "whole"))
    events.Reload()
    assert "iou/validation_val" in events.Tags()["scalars"]
    assert [len(samples) for samples in validation_sets(config).values()] == [2]


def test_trainings_of_every_seed_are_validated_on_the_same_scenes() -> None:
    one, other = (validation_sets(tiny_config(seed=seed, validation_scenes=1)) for seed in (0, 7))
    assert one.keys() == other.keys()
    for name in one:
        for sample, same in zip(one[name], other[name], strict=True):
            assert np.array_equal(sample.points_world, same.points_world)
            assert np.array_equal(sample.occupied, same.occupied)


def test_a_run_is_not_overwritten_without_resume(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"precious")
    with pytest.raises(ValueError, match="--resume"):
        train(tiny_config(), tmp_path, CPU, resume=False)
    assert (tmp_path / "last.pt").read_bytes() == b"precious"


def test_batches_are_the_same_whatever_the_number_of_workers() -> None:
    config = tiny_config()
    library = FurnitureLibrary.load().split("train")
    first = TrainingStream(config.data, library, seed=7, batch=2)
    second = TrainingStream(config.data, library, seed=7, batch=2, first_batch=3)
    stream = iter(first)
    fourth = [next(stream) for _ in range(4)][3]
    loader = DataLoader(first, batch_size=None, num_workers=2)
    for batch, alone in zip(islice(loader, 4), iter(first), strict=False):
        assert torch.equal(batch.points, alone.points)
    again = next(iter(second))
    assert torch.equal(fourth.points, again.points)
    assert torch.equal(fourth.queries, again.queries)
    assert torch.equal(fourth.occupied, again.occupied)


class Malicious:
    def __reduce__(self) -> tuple:
        return (Path("unpickled").touch, ())


def test_pickled_code_in_a_checkpoint_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Malicious()}, tmp_path / "evil.pt", pickle_module=pickle)
    with pytest.raises(ValueError, match="expected a training checkpoint"):
        load_state(tmp_path / "evil.pt", CPU)
    assert not (tmp_path / "unpickled").exists()
