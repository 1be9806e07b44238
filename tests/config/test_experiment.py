"""The schema and its strict reader: what is unknown, missing, misspelt or contradictory is an error that says so."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sparse_convonet.config.experiment import (
    ExperimentConfig,
    config_from_mapping,
    config_to_mapping,
    load_config,
    save_resolved,
)
from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.config.strict_yaml import read_record

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))


@dataclasses.dataclass(frozen=True)
class _Inner:
    size: int
    label: str = "a"


@dataclasses.dataclass(frozen=True)
class _Outer:
    inner: _Inner
    flag: bool = False


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_empty_file_gives_the_defaults_of_the_schema(tmp_path: Path) -> None:
    assert load_config(_write(tmp_path, "a.yaml", "")) == ExperimentConfig()


def test_child_wins_over_parent_key_by_key_across_folders(tmp_path: Path) -> None:
    _write(tmp_path, "base.yaml", "training: {steps: 500, batch: 2}\ndata: {points: 77}\n")
    _write(tmp_path, "middle.yaml", "inherit_from: base.yaml\ntraining: {batch: 3}\n")
    child = _write(tmp_path, "rooms/child.yaml", "inherit_from: ../middle.yaml\ntraining: {workers: 0}\n")
    config = load_config(child)
    assert (config.training.steps, config.training.batch, config.training.workers) == (500, 3, 0)
    assert config.data.points == 77
    assert config.model == ExperimentConfig().model


def test_overrides_win_over_files_and_are_typed(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", "training: {steps: 500}\n")
    overrides = [
        "training.steps=700",
        "training.learning_rate=5e-4",
        "data.voxel_size_m=[0.05, 0.05]",
        "mesh.threshold=",
    ]
    config = load_config(path, overrides)
    assert config.training.steps == 700
    assert config.training.learning_rate == 5e-4
    assert config.data.voxel_size_m == (0.05, 0.05)
    assert config.mesh.threshold is None


def test_saved_config_loads_back_equal(tmp_path: Path) -> None:
    source = _write(tmp_path, "a.yaml", "model: {widths: [8, 16], dilate_from_stride: 2}\nmesh: {threshold: 0.3}\n")
    config = load_config(source, ["training.minutes=2.5"])
    save_resolved(config, tmp_path / "resolved.yaml")
    assert load_config(tmp_path / "resolved.yaml") == config
    assert config_from_mapping(config_to_mapping(config), "a checkpoint") == config


def test_whole_numbers_and_exponents_are_floats_where_the_schema_wants_floats(tmp_path: Path) -> None:
    config = load_config(_write(tmp_path, "a.yaml", "training: {clip_norm: 5, learning_rate: 1e-3}\n"))
    assert config.training.clip_norm == 5.0 and isinstance(config.training.clip_norm, float)
    assert config.training.learning_rate == 1e-3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainig: {steps: 5}", r"a\.yaml: unknown key trainig; did you mean training\?"),
        ("training: {step: 5}", r"a\.yaml: unknown key training\.step; did you mean training\.steps\?"),
        ("training: {zzzzqq: 5}", r"a\.yaml: unknown key training\.zzzzqq; known keys: steps, batch"),
        ("training: {5: 5}", r"a\.yaml: unknown key training\.5"),
        ("training: {steps: many}", r"a\.yaml: training\.steps: expected a whole number, found 'many'"),
        ("training: {steps: 2.5}", r"training\.steps: expected a whole number, found 2\.5"),
        ("training: {steps: true}", r"training\.steps: expected a whole number, found True"),
        ("training: {steps: null}", r"training\.steps: expected a whole number, found None"),
        ("training: {learning_rate: .nan}", r"training\.learning_rate: expected a finite number"),
        ("training: 5", r"a\.yaml: training: expected the keys of a section \(steps, batch"),
        ("training:", r"a\.yaml: training: expected the keys of a section"),
        (
            "model: {engine: Native}",
            r"model\.engine: expected one of auto, minkowski, native \(did you mean native\?\)",
        ),
        ("model: {widths: 32}", r"model\.widths: expected a list of int, found 32"),
        ("model: {widths: [32, a]}", r"model\.widths: expected a whole number, found 'a'"),
        ("data: {voxel_size_m: [0.1]}", r"data\.voxel_size_m: expected a list of 2 numbers"),
        ("data: {furniture: 3}", r"data\.furniture: expected a text, found 3"),
        ("- 1", r"a\.yaml: expected `key: value` lines, found a list"),
        ("training: {steps: [", r"a\.yaml: not valid YAML: .*line 1"),
        ("training: {steps: 5, steps: 6}", r"a\.yaml: not valid YAML: .*key steps twice"),
        ("training: !!python/object:os.system {}", r"a\.yaml: not valid YAML: could not determine a constructor"),
        ("inherit_from: absent.yaml", r"a\.yaml: inherit_from: expected the path of a file .* found 'absent\.yaml'"),
        ("inherit_from: a.yaml", r"a\.yaml: inherit_from leads back to this file"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_key_and_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(_write(tmp_path, "a.yaml", text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps", r"--set training\.steps: expected section\.key=value"),
        ("=5", r"--set =5: expected section\.key=value"),
        ("training.stepz=5", r"--set training\.stepz=5: unknown key training\.stepz; did you mean training\.steps\?"),
        ("training.steps=x", r"--set training\.steps=x: training\.steps: expected a whole number, found 'x'"),
        ("training.steps=[", r"--set training\.steps=\[: not valid YAML"),
        ("training.steps.x=5", r"training\.steps: expected a whole number, found \{'x': 5\}"),
        ("model.widths=[]", r"model\.widths: expected one positive width per level, found \(\)"),
        ("model.widths=[32, 0]", r"model\.widths: expected one positive width per level"),
        ("model.dilate_from_stride=3", r"model\.dilate_from_stride: expected a stride of model\.widths"),
        ("data.voxel_size_m=[0.2, 0.1]", r"data\.voxel_size_m: expected two sizes in metres"),
        ("data.near_surface_share=1.5", r"data\.near_surface_share: expected a share between 0 and 1, found 1\.5"),
        ("data.crop_m=0.1", r"data\.crop_m: expected more than twice the largest data\.voxel_size_m \(0\.12\)"),
        (
            "training.warmup_steps=20000",
            r"training\.warmup_steps: expected less than training\.steps \(10000; a short run wants both set\)",
        ),
        ("training.batch=0", r"training\.batch: expected more than 0, found 0"),
        ("training.workers=-1", r"training\.workers: expected >= 0, found -1"),
        ("training.minutes=0", r"training\.minutes: expected more than 0"),
        ("training.ema=1.0", r"training\.ema: expected a decay in \[0, 1\)"),
        ("training.sides_halls=12x3@0.08", r"training\.sides_halls: expected a list of str, found '12x3@0\.08'"),
        ("training.sides_halls=[12x3]", r"training\.sides_halls: expected halls like 12x2\.7@0\.08 or 40x10x4@0\.08"),
        ("training.sides_halls=[12x3@0.08, 0x3@0.08]", r"training\.sides_halls: expected halls like"),
        ("training.sides_halls=[12x3@0.0]", r"training\.sides_halls: expected halls like"),
        ("training.sides_halls=[12x-3@0.08]", r"training\.sides_halls: expected halls like"),
        ("data.direction_share=-0.1", r"data\.direction_share: expected a share between 0 and 1, found -0\.1"),
        ("data.plain_share=1.5", r"data\.plain_share: expected a share between 0 and 1, found 1\.5"),
        ("data.normal_share=2", r"data\.normal_share: expected a share between 0 and 1, found 2"),
        ("data.large_share=0.6", r"data\.large_share: expected at most what data\.room_share leaves, found 0\.6"),
        ("data.large_share=0.2", r"data\.context_voxels: expected more than 0 with data\.large_share, found 0\.0"),
        (
            "data.context_voxels=37.5",
            r"data\.context_voxels: expected 0, or more than the 37\.5 voxels of the crop itself",
        ),
        ("data.context_voxels=-1", r"data\.context_voxels: expected >= 0, found -1"),
        ("data.band_share=0.6", r"data\.band_share: expected at most what near_surface_share leaves, found 0\.6"),
        ("data.band_voxels=0", r"data\.band_voxels: expected more than 0, found 0"),
        ("data.batches_per_building=0", r"data\.batches_per_building: expected more than 0, found 0"),
        ("model.context_widths=[8, 0]", r"model\.context_widths: expected positive widths, or none, found \(8, 0\)"),
        ("model.context_gaps=true", r"model\.context_gaps: expected false without model\.context_widths, found True"),
        ("model.point_hints=1", r"model\.point_hints: expected .*found 1"),
        ("mesh.threshold=1", r"mesh\.threshold: expected null or a probability"),
    ],
)
def test_a_wrong_override_or_combination_is_an_error_that_names_the_key(
    tmp_path: Path, override: str, message: str
) -> None:
    path = _write(tmp_path, "a.yaml", "training: {steps: 10000}\n")
    with pytest.raises(ValueError, match=message):
        load_config(path, [override])


def test_an_error_in_a_parent_names_the_parent(tmp_path: Path) -> None:
    _write(tmp_path, "base.yaml", "data: {pionts: 3}\n")
    child = _write(tmp_path, "child.yaml", "inherit_from: base.yaml\ndata: {noise_m: 0.01}\n")
    with pytest.raises(ValueError, match=r"base\.yaml: unknown key data\.pionts; did you mean data\.points\?"):
        load_config(child)


def test_a_field_without_default_is_required(tmp_path: Path) -> None:
    assert read_record(_Outer, _write(tmp_path, "a.yaml", "inner: {size: 3}\nflag: true\n")) == _Outer(_Inner(3), True)
    with pytest.raises(ValueError, match=r"b\.yaml: missing key inner\.size; add it"):
        read_record(_Outer, _write(tmp_path, "b.yaml", "inner: {label: b}\n"))
    with pytest.raises(ValueError, match=r"c\.yaml: missing key inner; add it"):
        read_record(_Outer, _write(tmp_path, "c.yaml", "flag: true\n"))


def test_a_missing_file_is_an_os_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml"):
        load_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_valid(path: Path) -> None:
    assert isinstance(load_config(path), ExperimentConfig)


@pytest.mark.parametrize("halls", ["[12x2.7@0.08]", "[40x10x4@0.05, 12x0@0.12]", "[0.5x3@1]", "[]"])
def test_halls_to_look_for_wrong_sides_in_are_accepted(tmp_path: Path, halls: str) -> None:
    config = load_config(_write(tmp_path, "a.yaml", ""), [f"training.sides_halls={halls}"])
    assert config.training.sides_halls == tuple(text for text in halls.strip("[]").split(", ") if text)


def test_a_context_needs_three_levels_so_that_its_cells_have_sub_cells(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.yaml", "")
    overrides = ["model.context_widths=[8]", "model.dilate_from_stride=1", "model.widths=[8, 8]"]
    with pytest.raises(ValueError, match=r"model\.widths: expected three levels or more with model\.context_widths"):
        load_config(path, overrides)
    model = load_config(path, [*overrides[:2], "model.widths=[8, 8, 8]"]).model
    assert isinstance(model, SparseModelConfig) and model.widths == (8, 8, 8)


def test_large_scenes_rooms_and_surroundings_that_fit_together_are_accepted(tmp_path: Path) -> None:
    overrides = ["data.room_share=0.4", "data.large_share=0.6", "data.context_voxels=38", "data.band_share=0.5"]
    data = load_config(_write(tmp_path, "a.yaml", ""), overrides).data
    assert (data.large_share, data.context_voxels, data.band_share) == (0.6, 38.0, 0.5)
