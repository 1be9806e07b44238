"""What kinds of networks there are, and every number that one has: the `model` section of an experiment.

`field` says what the features live on, and so which of these records a configuration means.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import operator
import types
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args, get_type_hints

PlaneName = Literal["xz", "xy", "yz"]
ScatterName = Literal["max", "mean"]
FeaturePlaces = Literal["centres", "corners"]
EngineName = Literal["auto", "minkowski", "native"]
# What a network is shown of a scene: points on surfaces, which voxels are occupied (of the unit cube, such as those of
# model.binvox), one picture, or queries with their truth.
Input = Literal["points", "voxels", "image", "queries"]

_LAYERS = "layers"


def _layers(default: int) -> Any:
    """A number of layers: no weights file can have more of them than tensors."""
    return dataclasses.field(default=default, metadata={_LAYERS: True})


def counts_layers(entry: dataclasses.Field[Any]) -> bool:
    """Whether an entry of a model's configuration is a number of layers (others are widths, strides and limits)."""
    return entry.metadata.get(_LAYERS, False)


@dataclass(frozen=True)
class SparseModelConfig:
    """Features on sparse voxels near the surface: point encoder, sparse U-Net, query and decoder."""

    field: Literal["sparse"] = "sparse"
    engine: EngineName = "auto"
    points_per_voxel: int = 8  # more points of one voxel are dropped at random
    pointnet_width: int = 32
    pointnet_blocks: int = _layers(3)
    widths: tuple[int, ...] = (32, 48, 64, 96, 128)  # channels at strides 1, 2, 4, ...
    blocks_per_level: int = _layers(1)
    dilate_from_stride: int = 4  # levels of this stride and coarser also cover neighbouring cells; 1: all
    feature_width: int = 32  # channels of a sampled feature
    decoder_width: int = 32
    decoder_blocks: int = _layers(5)
    local_encoding: Literal["periodic", "raw"] = "periodic"
    context_widths: tuple[int, ...] = ()  # of the coarse network that sees far, at 1, 2, 4, ... times the last stride
    context_gaps: bool = False  # it is told how far its next cells are along each axis
    point_hints: bool = False  # points may come with the direction to their scanner and with normals
    input_voxels: bool = False  # the network sees which voxels hold points, and nothing of the points within them


@dataclass(frozen=True)
class DenseModelConfig:
    """Features on dense planes, a dense grid, or both (Peng et al. 2020, section 3), in the unit cube."""

    field: Literal["dense"] = "dense"
    planes: tuple[PlaneName, ...] = ()
    plane_resolution: int = 128
    plane_depth: int = _layers(5)  # levels of the 2D U-Net
    plane_width: int = 32  # channels of its first level
    grid_resolution: int = 0  # 0: no grid
    grid_levels: int = _layers(3)  # of the 3D U-Net
    grid_width: int = 32
    pointnet_width: int = 32
    pointnet_blocks: int = _layers(5)
    feature_width: int = 32
    decoder_width: int = 32
    decoder_blocks: int = _layers(5)
    sampling: Literal["linear", "nearest"] = "linear"
    positions: Literal["cube", "cell"] = "cube"  # what PointNet and decoder see: places in the cube, or in a grid cell
    scatter: ScatterName = "max"  # what the PointNet hands on between the points of a cell
    input_voxels: int = 0  # along the cube: the network sees which of them hold points; 0: it sees the points


@dataclass(frozen=True)
class GlobalModelConfig:
    """One code for everything: the Occupancy Network (Mescheder et al. 2019), of points or of voxels."""

    field: Literal["global"] = "global"
    code_width: int = 512
    pointnet_width: int = 512
    pointnet_blocks: int = _layers(5)
    decoder_width: int = 256
    decoder_blocks: int = _layers(5)
    input_voxels: int = 0  # along the cube: the network sees which of them are occupied; 0: it sees the points
    voxel_width: int = 32  # channels of the first convolution of voxels; each further one has twice as many


@dataclass(frozen=True)
class ImageModelConfig:
    """A code of one picture by ResNet-18: the Occupancy Network of images (Mescheder et al. 2019, section 4.3)."""

    inputs: ClassVar[tuple[Input, ...]] = ("image",)
    field: Literal["image"] = "image"
    code_width: int = 256
    image_width: int = 64  # channels of the first convolution; later stages have 1, 2, 4 and 8 times as many
    decoder_width: int = 256
    decoder_blocks: int = _layers(5)


@dataclass(frozen=True)
class LatentModelConfig:
    """A distribution of codes for each shape, of queries and their truth: the generative Occupancy Network (Mescheder et
    al. 2019, section 4.5), a variational autoencoder."""

    inputs: ClassVar[tuple[Input, ...]] = ("queries",)
    field: Literal["latent"] = "latent"
    code_width: int = 128
    latent_width: int = 128  # of the encoder
    decoder_width: int = 256
    decoder_blocks: int = _layers(5)
    kl_weight: float = 1.0  # of the divergence in the loss


@dataclass(frozen=True)
class PointsModelConfig:
    """Features on the points themselves, blended by a Gaussian kernel: the papers' PointConv baseline."""

    field: Literal["points"] = "points"
    feature_width: int = 32
    kernel_sigma: float = 0.2  # sides of the cube
    decoder_width: int = 32
    decoder_blocks: int = _layers(5)


@dataclass(frozen=True)
class DenseVoxelModelConfig:
    """Features on all voxels of a box, positions within their voxel: the papers' scene model, for buildings in crops."""

    field: Literal["dense_voxels"] = "dense_voxels"
    grid_levels: int = _layers(4)  # of the 3D U-Net
    grid_width: int = 32
    pointnet_width: int = 32
    pointnet_blocks: int = _layers(5)
    feature_width: int = 32
    decoder_width: int = 32
    decoder_blocks: int = _layers(5)
    scatter: ScatterName = "max"  # what the PointNet hands on between the points of a voxel
    local_encoding: Literal["none", "sin_cos"] = "none"  # of positions within their voxel
    border: int = 8  # voxels around the points of a scene that is encoded whole
    features_at: FeaturePlaces = "centres"  # of their voxels; "corners": stretched over the box, as published


ModelConfig = (
    SparseModelConfig
    | DenseModelConfig
    | DenseVoxelModelConfig
    | GlobalModelConfig
    | ImageModelConfig
    | LatentModelConfig
    | PointsModelConfig
)


def inputs_of(model: Any) -> tuple[Input, ...]:
    """What a configured network can be shown: what its record says in `inputs`, else points.

    Networks of voxels come first to voxels, and find those that hold points themselves.
    """
    if getattr(model, "input_voxels", 0):
        return ("voxels", "points")
    declared: tuple[Input, ...] = getattr(model, "inputs", ("points",))
    return declared


# Installed packages name modules here that register networks of their own (model/registry.py).
ENTRY_POINTS = "sparse_convonet.networks"

_added: dict[str, type] = {}  # name -> record, beyond those above


def model_records() -> tuple[type, ...]:
    """The records that there are: those of this file, and those that were registered."""
    return (*get_args(ModelConfig), *_added.values())


def add_model_record(record: type) -> None:
    """Take a record for the `model` section of a configuration; see model.registry.register_network."""
    entry = dataclasses.fields(record)[0] if dataclasses.is_dataclass(record) else None
    name = None if entry is None else entry.default
    if entry is None or entry.name != "field" or get_args(get_type_hints(record)["field"]) != (name,):
        raise ValueError(
            f'{record.__name__}: expected a dataclass whose first entry is `field: Literal["name"] = "name"`, '
            "with the name that configurations use"
        )
    taken = {kind.__name__: kind for kind in model_records() if dataclasses.fields(kind)[0].default == name}
    if taken and record not in taken.values():
        raise ValueError(f"{record.__name__}: expected a name of its own, found {name!r} of {', '.join(taken)}")
    if not taken:
        _added[str(name)] = record


def records_for(section: Any) -> types.UnionType:
    """The union of records that a `model` section is read as; installed packages are asked for names that are new."""
    name = section.get("field") if isinstance(section, dict) else None
    if isinstance(name, str) and name not in {dataclasses.fields(kind)[0].default for kind in model_records()}:
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
            point.load()
    union: Any = functools.reduce(operator.or_, model_records())
    return union
