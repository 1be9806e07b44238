"""Names, shapes and axes of the published checkpoints, beside those of the networks here.

Convolutional Occupancy Networks (Peng et al. 2020) and Occupancy Networks (Mescheder et al. 2019) name the layers of the
same networks differently, write linear layers as convolutions of kernel 1, and have the grids of crops y up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from sparse_convonet.model.baselines import GlobalOccupancyNetwork, PointsOccupancyNetwork
from sparse_convonet.model.dense import DenseOccupancyNetwork
from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.model.image import ImageOccupancyNetwork
from sparse_convonet.model.network import OccupancyNetwork

# Module here -> module there; * stands for a number.
_POINTNET = {
    "pointnet.lift": "encoder.fc_pos",
    "pointnet.project": "encoder.fc_c",
    "pointnet.blocks.*.inner": "encoder.blocks.*.fc_0",
    "pointnet.blocks.*.outer": "encoder.blocks.*.fc_1",
    "pointnet.blocks.*.shortcut": "encoder.blocks.*.shortcut",
}
_VOXELS = {"voxel_features.first": "encoder.conv_in"}
_DECODER = {
    "decoder.lift": "decoder.fc_p",
    "decoder.logit": "decoder.fc_out",
    "decoder.feature_maps.*": "decoder.fc_c.*",
    "decoder.blocks.*.inner": "decoder.blocks.*.fc_0",
    "decoder.blocks.*.outer": "decoder.blocks.*.fc_1",
}
_PLANES = {
    "plane_unet.down.*.0": "encoder.unet.down_convs.*.conv1",
    "plane_unet.down.*.2": "encoder.unet.down_convs.*.conv2",
    "plane_unet.lift.*": "encoder.unet.up_convs.*.upconv",
    "plane_unet.up.*.0": "encoder.unet.up_convs.*.conv1",
    "plane_unet.up.*.2": "encoder.unet.up_convs.*.conv2",
    "plane_unet.last": "encoder.unet.conv_final",
}
_VOLUME = {
    "down.*.0": "encoders.*.basic_module.SingleConv1.groupnorm",
    "down.*.1": "encoders.*.basic_module.SingleConv1.conv",
    "down.*.3": "encoders.*.basic_module.SingleConv2.groupnorm",
    "down.*.4": "encoders.*.basic_module.SingleConv2.conv",
    "up.*.0": "decoders.*.basic_module.SingleConv1.groupnorm",
    "up.*.1": "decoders.*.basic_module.SingleConv1.conv",
    "up.*.3": "decoders.*.basic_module.SingleConv2.groupnorm",
    "up.*.4": "decoders.*.basic_module.SingleConv2.conv",
    "last": "final_conv",
}
_GLOBAL = {
    "encoder.lift": "encoder.fc_pos",
    "encoder.project": "encoder.fc_c",
    "encoder.blocks.*.inner": "encoder.block_*.fc_0",
    "encoder.blocks.*.outer": "encoder.block_*.fc_1",
    "encoder.blocks.*.shortcut": "encoder.block_*.shortcut",
    "encoder.layers.0": "encoder.conv_in",
    **{f"encoder.layers.{level + 1}": f"encoder.conv_{level}" for level in range(4)},
    "encoder.code": "encoder.fc",
    "decoder.lift": "decoder.fc_p",
    "decoder.logit": "decoder.fc_out",
    "decoder.blocks.*.inner": "decoder.block*.fc_0",
    "decoder.blocks.*.outer": "decoder.block*.fc_1",
}
_RESNET = {
    **{f"encoder.features.{name}": f"encoder.features.{name}" for name in ("conv1", "bn1")},
    **{
        f"encoder.features.layer*.*.{name}": f"encoder.features.layer*.*.{name}"
        for name in ("conv1", "conv2", "bn1", "bn2", "downsample.0", "downsample.1")
    },
}
_NORMS = {
    "decoder.blocks.*.first_norm": "decoder.block*.bn_0",
    "decoder.blocks.*.second_norm": "decoder.block*.bn_1",
    "decoder.norm": "decoder.bn",
}
_OF_NORM = {"scale": "conv_gamma", "shift": "conv_beta", "norm": "bn"}
_POINTS = {
    "encoder.small.layers": "encoder.sa1",
    "encoder.large.layers": "encoder.sa2",
    "encoder.all": "encoder.sa3",
    "encoder.to_large": "encoder.fp3",
    "encoder.to_small": "encoder.fp2",
    "encoder.to_points": "encoder.fp1",
}


def _below(prefix: str, official_prefix: str, names: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{ours}": f"{official_prefix}.{theirs}" for ours, theirs in names.items()}


def _shared_layers(prefix: str, official_prefix: str) -> dict[str, str]:
    """Three layers, each with a normalisation."""
    names = {str(3 * layer): f"mlp_convs.{layer}" for layer in range(3)}
    return _below(prefix, official_prefix, names | {str(3 * layer + 1): f"mlp_bns.{layer}" for layer in range(3)})


_TABLES: dict[type[OccupancyNetwork], dict[str, str]] = {
    DenseOccupancyNetwork: {
        **_POINTNET, **_VOXELS, **_DECODER, **_PLANES, **_below("volume_unet", "encoder.unet3d", _VOLUME),
    },
    DenseVoxelNetwork: {**_POINTNET, **_DECODER, **_below("unet", "encoder.unet3d", _VOLUME)},
    GlobalOccupancyNetwork: {
        **_GLOBAL, **{key: value for pair in _NORMS.items() for key, value in _below(*pair, _OF_NORM).items()},
    },
    ImageOccupancyNetwork: {
        **_GLOBAL, **_RESNET, **{key: value for pair in _NORMS.items() for key, value in _below(*pair, _OF_NORM).items()},
    },
    PointsOccupancyNetwork: {
        **_DECODER, **{key: value for pair in _POINTS.items() for key, value in _shared_layers(*pair).items()},
    },
}  # fmt: skip


def official_names(network: OccupancyNetwork) -> dict[str, str]:
    """Key of the network's state dict -> key of a published one, in the network's order.

    Raises ValueError for a network that the papers do not have.
    """
    if type(network) not in _TABLES:
        raise ValueError(
            f"model: expected one of the papers' networks (dense, dense_voxels, global or points), found a "
            f"{type(network).__name__}; name the configuration that the published weights were trained with"
        )
    patterns = [
        (re.compile(re.escape(ours).replace(r"\*", r"(\d+)")), theirs)
        for ours, theirs in _TABLES[type(network)].items()
    ]
    return {key: _official_name(key, patterns) for key in network.state_dict()}


def _official_name(key: str, patterns: list[tuple[re.Pattern[str], str]]) -> str:
    module, _, value = key.rpartition(".")
    for pattern, theirs in patterns:
        found = pattern.fullmatch(module)
        if found:
            for number in found.groups():
                theirs = theirs.replace("*", number, 1)
            return f"{theirs}.{value}"
    raise AssertionError(f"{key} has no published name")


def in_our_axes(network: OccupancyNetwork, key: str, state: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A tensor of a state with our names and shapes but the published axes, in the axes of `network`.

    Networks in the unit cube have the published ones.  Those of crops are y up there, with grids whose axes are z, y, x;
    here they are z up: (x, y, z) there is (x, -z, y) here, and the axes of grids are x, y, z.  A position within its voxel
    along the turned axis counts from the other end, which changes the bias.
    """
    value = state[key]
    if not isinstance(network, DenseVoxelNetwork):
        return value
    if value.dim() == 5:  # convolutions: out, in, and the axes z, y, x there
        return value.flip(2).permute(0, 1, 4, 2, 3)
    if key in ("pointnet.lift.weight", "decoder.lift.weight"):
        if value.shape[1] == 3:
            return torch.stack([value[:, 0], -value[:, 2], value[:, 1]], dim=1)
        waves = value.reshape(
            len(value), -1, 2, 3
        )  # octave, sine or cosine, axis: sines of the turned axis change sign
        signs = value.new_tensor([-1, 1])
        return torch.stack([waves[..., 0], signs * waves[..., 2], waves[..., 1]], dim=-1).reshape(value.shape)
    if key in ("pointnet.lift.bias", "decoder.lift.bias"):
        weight = state[key.removesuffix("bias") + "weight"]
        return value + weight[:, 2] if weight.shape[1] == 3 else value
    return value
