"""The schema of an experiment: frozen dataclasses hold every default and every rule between keys.

Experiments are small YAML files (see strict_yaml.py for `inherit_from` and what counts as an error).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from sparse_convonet.config.baselines import (
    AlphaShapeSettings,
    BallPivotingSettings,
    PoissonSettings,
    VoxelSurfaceSettings,
)
from sparse_convonet.config.models import (
    DenseModelConfig,
    GlobalModelConfig,
    Input,
    ModelConfig,
    SparseModelConfig,
    inputs_of,
    records_for,
)
from sparse_convonet.config.strict_yaml import KINDS, read_record, record_from_mapping, record_to_mapping


@dataclass(frozen=True)
class DataConfig:
    """Scenes, how they are observed, and where the field is queried.

    With `folder`, models of a data set in the format of Convolutional Occupancy Networks; otherwise synthetic scenes
    that are generated on the fly.  Lengths are metres; where a model of a folder has no frame.json, the side of
    its unit cube counts as one metre.
    """

    folder: str | None = None  # <class>/<model>/..., with <class>/train.lst and val.lst
    classes: tuple[str, ...] | None = None  # of the folder; null: all
    input: Input = "points"  # what the network is shown of a model of the folder
    image_pixels: int = 224  # along both sides of the pictures that are shown
    outside_inside: tuple[int, int] | None = None  # so many queries outside and inside, instead of `queries`
    keep_ratio: float | None = None  # partial scans: cut off along a random axis, at least this share is kept
    skip_broken: bool = False  # leave out models of the folder that cannot be read, instead of stopping

    scenes: Literal["rooms", "buildings", "mixed"] = "mixed"
    room_share: float = 0.5  # of the scenes of a batch, with scenes: mixed
    large_share: float = 0.0  # likewise: halls, churches, corridors, open ground and what else is wide
    observation: Literal["uniform", "scanner", "mixed"] = "mixed"
    points: int = 10000
    noise_m: float = 0.015
    queries: int = 2048
    near_surface_share: float = 0.5
    near_surface_sigma_m: float = 0.05
    voxel_size_m: tuple[float, float] = (0.04, 0.12)  # drawn anew for each scene
    box_padding_m: float = 0.25  # uniform queries reach this far around the scene's box
    furniture: str | None = None  # path of a furniture pack; null: the shipped one
    crop_m: float = 6.0  # side of the crops that are cut from buildings, at voxels of 8 cm
    batches_per_building: int = 12  # of each of two buildings in turn
    plain_share: float = 0.0  # of the crops of large scenes: those of a plain floor or ceiling, if there is one
    context_voxels: float = 0.0  # half the edge of the thinned surroundings of a crop; 0: crops end sharply
    sharp_share: float = 0.0  # of the crops of buildings that end sharply all the same, as a scan that was cut
    band_share: float = 0.0  # of the queries of such crops: within band_voxels of the surface, to both sides
    band_voxels: float = 4.0
    direction_share: float = 0.0  # of such crops that come with the direction to the scanner of each point
    normal_share: float = 0.0  # likewise with normals


@dataclass(frozen=True)
class TrainingConfig:
    """The training loop."""

    steps: int = 10000
    batch: int = 4
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float | None = 10.0  # of the gradient; null: not clipped
    weight_decay: float = 0.0
    ema: float = 0.999  # decay of the averaged weights; 0: none
    seed: int = 0
    workers: int = 1
    backbone: str | None = None  # file with weights of ResNet-18 that a network of pictures begins with; null: random
    validate_every: int = 500
    validation_scenes: int = 32
    # Empty halls in which every validation looks for surfaces on the wrong side: length x height in metres (or length x
    # width x height; height 0: a floor alone) @ voxel size.  Of sparse networks on generated scenes; empty: none.
    sides_halls: tuple[str, ...] = ()
    checkpoint_every: int = 200
    picture_every: int = 500
    mesh_every: int = 1000  # 0: never
    minutes: float | None = None  # stop after this time; null: after `steps` only


@dataclass(frozen=True)
class MeshConfig:
    """From the field to a mesh."""

    cell_share: float = 0.5  # side of a mesh cell in voxels
    threshold: float | None = None  # tau, a probability; null: the value stored with the weights


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that one experiment needs."""

    model: ModelConfig = field(default_factory=SparseModelConfig, metadata={KINDS: records_for})
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    # Instead of a network: a method without learning, for `sparse-convonet evaluate`.
    baseline: PoissonSettings | BallPivotingSettings | AlphaShapeSettings | VoxelSurfaceSettings | None = None


REFERENCE_VOXEL_M = 0.08  # the voxel size at which data.crop_m and data.near_surface_sigma_m are meant
# Keys that some kinds of model lack are checked where they exist.
_HALL_AT_VOXEL = re.compile(r"((?!0+(\.0*)?x)\d+(\.\d+)?x){1,2}\d+(\.\d+)?@(?!0*\.?0*$)\d+(\.\d+)?")
_LONGEST_VALUE = 200  # letters of it in a sentence
_POSITIVE = (
    "model.points_per_voxel model.pointnet_width model.blocks_per_level model.feature_width model.decoder_width "
    "model.plane_resolution model.plane_depth model.plane_width model.grid_levels model.grid_width "
    "model.code_width model.kernel_sigma model.border model.voxel_width model.image_width model.latent_width "
    "data.image_pixels data.points data.queries data.near_surface_sigma_m data.crop_m data.band_voxels "
    "data.batches_per_building data.keep_ratio training.steps training.batch training.learning_rate "
    "training.clip_norm training.validate_every training.validation_scenes training.checkpoint_every "
    "training.minutes mesh.cell_share"
).split()
_NOT_NEGATIVE = (
    "model.pointnet_blocks model.kl_weight model.decoder_blocks model.grid_resolution model.input_voxels "
    "data.context_voxels data.noise_m data.box_padding_m training.warmup_steps training.weight_decay "
    "training.workers training.seed training.picture_every training.mesh_every"
).split()


def load_config(path: Path | str, overrides: Iterable[str] = ()) -> ExperimentConfig:
    """Read an experiment from a YAML file and its ancestors; `overrides` are texts like "training.steps=100".

    Raises ValueError, naming key and file, for unknown or missing keys, wrong types and values that do not
    fit together; OSError when the file cannot be read.
    """
    config = read_record(ExperimentConfig, path, overrides)
    check_config(config, str(path))
    return config


def config_from_mapping(values: Mapping[str, Any], source: str) -> ExperimentConfig:
    """Build and check an experiment from plain nested values, such as those stored beside weights."""
    config = record_from_mapping(ExperimentConfig, values, source)
    check_config(config, source)
    return config


def config_to_mapping(config: ExperimentConfig) -> dict[str, Any]:
    """The whole configuration as nested plain values, ready for YAML or JSON."""
    return record_to_mapping(config)


def save_resolved(config: ExperimentConfig, path: Path | str) -> None:
    """Write every key with its value, so that `load_config(path)` gives the same configuration again."""
    Path(path).write_text(yaml.safe_dump(config_to_mapping(config), sort_keys=False), encoding="utf-8")


def check_config(config: ExperimentConfig, source: str) -> None:
    """Raise ValueError, naming key and `source`, where values are out of range or do not fit together."""

    def require(holds: bool, key: str, expected: str) -> None:
        if not holds:
            raise ValueError(
                f"{source}: {key}: expected {expected}, found {repr(_lookup(config, key))[:_LONGEST_VALUE]}"
            )

    for key in _POSITIVE + _NOT_NEGATIVE:
        value = _lookup(config, key)
        if value is not None:
            require(value > 0 if key in _POSITIVE else value >= 0, key, "more than 0" if key in _POSITIVE else ">= 0")
    data, training, threshold = config.data, config.training, config.mesh.threshold
    _check_model(config.model, require)
    if config.baseline is None:
        taker, inputs = f"model.field {config.model.field}", inputs_of(config.model)
    else:
        taker = f"baseline.method {config.baseline.method}"
        inputs = ("voxels",) if isinstance(config.baseline, VoxelSurfaceSettings) else ("points",)
    require(data.input in inputs, "data.input", f"{' or '.join(inputs)}, which {taker} takes")
    require(data.image_pixels >= 32, "data.image_pixels", "32 or more, which ResNet-18 halves five times")
    require(data.input == "points" or data.folder is not None, "data.input", "points without data.folder")
    low, high = data.voxel_size_m
    require(0 < low <= high, "data.voxel_size_m", "two sizes in metres, 0 < smallest <= largest")
    for name in (
        "room_share",
        "large_share",
        "sharp_share",
        "plain_share",
        "band_share",
        "direction_share",
        "normal_share",
    ):
        require(0 <= getattr(data, name) <= 1, f"data.{name}", "a share between 0 and 1")
    require(data.room_share + data.large_share <= 1, "data.large_share", "at most what data.room_share leaves")
    around, core = data.context_voxels, data.crop_m / REFERENCE_VOXEL_M / 2
    require(
        around == 0 or around > core, "data.context_voxels", f"0, or more than the {core:g} voxels of the crop itself"
    )
    require(data.large_share == 0 or around > 0, "data.context_voxels", "more than 0 with data.large_share")
    pair = data.outside_inside
    require(pair is None or min(pair) > 0, "data.outside_inside", "null or two positive numbers of queries")
    require(data.keep_ratio is None or data.keep_ratio <= 1, "data.keep_ratio", "null or a share above 0 and at most 1")
    require(
        data.folder is None or data.near_surface_share == 0,
        "data.near_surface_share",
        "0 with data.folder, whose files hold the queries",
    )
    require(0 <= data.near_surface_share <= 1, "data.near_surface_share", "a share between 0 and 1")
    require(data.near_surface_share + data.band_share <= 1, "data.band_share", "at most what near_surface_share leaves")
    require(data.crop_m > 2 * high, "data.crop_m", f"more than twice the largest data.voxel_size_m ({high})")
    require(0 <= training.ema < 1, "training.ema", "a decay in [0, 1)")
    require(
        training.warmup_steps < training.steps,
        "training.warmup_steps",
        f"less than training.steps ({training.steps}; a short run wants both set)",
    )
    require(
        all(_HALL_AT_VOXEL.fullmatch(text) for text in training.sides_halls),
        "training.sides_halls",
        "halls like 12x2.7@0.08 or 40x10x4@0.08: lengths, height and voxel size in metres",
    )
    require(threshold is None or 0 < threshold < 1, "mesh.threshold", "null or a probability between 0 and 1")


def _check_model(model: ModelConfig, require: Callable[[bool, str, str], None]) -> None:
    if isinstance(model, SparseModelConfig):
        widths = model.widths
        require(len(widths) > 0 and min(widths, default=0) > 0, "model.widths", "one positive width per level")
        strides = [2**level for level in range(len(widths) + 1)]
        require(
            model.dilate_from_stride in strides,
            "model.dilate_from_stride",
            f"a stride of model.widths, or the next one for no dilation: one of {strides}",
        )
        context = model.context_widths
        require(not context or min(context) > 0, "model.context_widths", "positive widths, or none")
        require(not context or len(widths) >= 3, "model.widths", "three levels or more with model.context_widths")
        require(bool(context) or not model.context_gaps, "model.context_gaps", "false without model.context_widths")
        require(not (model.input_voxels and model.point_hints), "model.point_hints", "false with model.input_voxels")
    if isinstance(model, GlobalModelConfig):
        expected = "0 or a multiple of 16, which its convolutions halve"
        require(model.input_voxels % 16 == 0, "model.input_voxels", expected)
    if isinstance(model, DenseModelConfig):
        require(bool(model.planes) or model.grid_resolution > 0, "model.planes", "planes, or a model.grid_resolution")
        require(len(set(model.planes)) == len(model.planes), "model.planes", "each plane once")
        for key, resolution, levels in (
            ("model.plane_resolution", model.plane_resolution if model.planes else 0, model.plane_depth),
            ("model.grid_resolution", model.grid_resolution, model.grid_levels),
        ):
            coarsest = 2 ** (levels - 1)
            require(resolution % coarsest == 0, key, f"a multiple of {coarsest}, which its {levels} levels halve")
        local = model.positions == "cell"
        require(not local or model.grid_resolution > 0, "model.positions", "cube where there is no grid")


def _lookup(config: ExperimentConfig, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(config, section), name, None)
