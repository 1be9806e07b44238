"""The networks: points -> field of features -> occupancy logits; `build` reads the config."""

from __future__ import annotations

from types import ModuleType

from sparse_convonet.config.models import (
    DenseModelConfig,
    DenseVoxelModelConfig,
    GlobalModelConfig,
    ImageModelConfig,
    LatentModelConfig,
    ModelConfig,
    PointsModelConfig,
    SparseModelConfig,
)
from sparse_convonet.decode.conditional_decoder import ConditionalDecoder
from sparse_convonet.decode.decoder import OccupancyDecoder
from sparse_convonet.encode.context import ContextNetwork
from sparse_convonet.encode.dense_pointnet import CellPointNet
from sparse_convonet.encode.dense_unet import PlaneUNet, VolumeUNet
from sparse_convonet.encode.global_pointnet import GlobalPointNet
from sparse_convonet.encode.hints import HINTS
from sparse_convonet.encode.image_encoder import ImageEncoder
from sparse_convonet.encode.latent_encoder import LatentEncoder
from sparse_convonet.encode.point_features import PointFeatures
from sparse_convonet.encode.pointnet import LocalPoolPointNet
from sparse_convonet.encode.position_encoding import SIN_COS_WIDTH
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.encode.voxel_cells import VoxelCells
from sparse_convonet.encode.voxel_encoder import VoxelEncoder
from sparse_convonet.encode.voxel_features import VoxelFeatures
from sparse_convonet.engine import load_engine
from sparse_convonet.model.baselines import GlobalOccupancyNetwork, PointsOccupancyNetwork
from sparse_convonet.model.dense import DenseOccupancyNetwork
from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.model.image import ImageOccupancyNetwork
from sparse_convonet.model.latent import LatentOccupancyNetwork
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.model.registry import builder_of
from sparse_convonet.model.registry import register_network as register_network
from sparse_convonet.model.sparse import SparseOccupancyNetwork


def build(config: ModelConfig) -> OccupancyNetwork:
    """The network a config describes, with random weights.  Raises ValueError for what is no config of a network."""
    return builder_of(config)(config)


def build_sparse(config: SparseModelConfig, engine: ModuleType | None = None) -> SparseOccupancyNetwork:
    """The sparse network on the engine that its config names, or the one given."""
    engine = engine or load_engine(config.engine)
    widths, hints = tuple(config.widths), HINTS if config.point_hints else 0
    context = None
    if config.context_widths:
        stride = 2 ** (len(widths) - 1)
        context = ContextNetwork(
            engine=engine, widths=tuple(config.context_widths), stride=stride, hints=hints, gaps=config.context_gaps
        )
    pointnet: LocalPoolPointNet | VoxelCells
    if config.input_voxels:
        pointnet = VoxelCells(widths[0])
    else:
        pointnet = LocalPoolPointNet(
            width=config.pointnet_width, blocks=config.pointnet_blocks, feature_width=widths[0], hints=hints
        )
    return SparseOccupancyNetwork(
        pointnet=pointnet,
        unet=SparseUNet(
            engine=engine,
            width_in=widths[0],
            widths=widths,
            blocks_per_level=config.blocks_per_level,
            dilate_from_stride=config.dilate_from_stride,
        ),
        decoder=OccupancyDecoder(
            feature_width=config.feature_width,
            levels=len(widths),
            width=config.decoder_width,
            blocks=config.decoder_blocks,
            local_encoding=config.local_encoding,
        ),
        feature_width=config.feature_width,
        points_per_voxel=config.points_per_voxel,
        context=context,
    )


def _build_dense(config: DenseModelConfig) -> DenseOccupancyNetwork:
    width = config.feature_width
    planes = PlaneUNet(channels=width, width=config.plane_width, depth=config.plane_depth) if config.planes else None
    volume = None
    if config.grid_resolution:
        volume = VolumeUNet(channels=width, width=config.grid_width, levels=config.grid_levels)
    pointnet: CellPointNet | VoxelFeatures
    if config.input_voxels:
        pointnet = VoxelFeatures(resolution=config.input_voxels, feature_width=width)
    else:
        pointnet = CellPointNet(
            width=config.pointnet_width, blocks=config.pointnet_blocks, feature_width=width, scatter=config.scatter
        )
    return DenseOccupancyNetwork(
        pointnet=pointnet,
        plane_unet=planes,
        volume_unet=volume,
        decoder=_plain_decoder(config),
        planes=config.planes,
        plane_resolution=config.plane_resolution,
        grid_resolution=config.grid_resolution,
        sampling=config.sampling,
        positions=config.positions,
    )


def _build_dense_voxels(config: DenseVoxelModelConfig) -> DenseVoxelNetwork:
    width = config.feature_width
    return DenseVoxelNetwork(
        pointnet=CellPointNet(
            width=config.pointnet_width,
            blocks=config.pointnet_blocks,
            feature_width=width,
            position_width=SIN_COS_WIDTH if config.local_encoding == "sin_cos" else 3,
            scatter=config.scatter,
        ),
        unet=VolumeUNet(channels=width, width=config.grid_width, levels=config.grid_levels),
        decoder=_plain_decoder(config, config.local_encoding),
        border=config.border,
        features_at=config.features_at,
    )


def _build_global(config: GlobalModelConfig) -> GlobalOccupancyNetwork:
    encoder: GlobalPointNet | VoxelEncoder
    if config.input_voxels:
        encoder = VoxelEncoder(resolution=config.input_voxels, width=config.voxel_width, code_width=config.code_width)
    else:
        encoder = GlobalPointNet(
            width=config.pointnet_width, blocks=config.pointnet_blocks, code_width=config.code_width
        )
    return GlobalOccupancyNetwork(
        encoder=encoder,
        decoder=ConditionalDecoder(
            code_width=config.code_width, width=config.decoder_width, blocks=config.decoder_blocks
        ),
    )


def _build_image(config: ImageModelConfig) -> ImageOccupancyNetwork:
    return ImageOccupancyNetwork(
        encoder=ImageEncoder(width=config.image_width, code_width=config.code_width),
        decoder=ConditionalDecoder(
            code_width=config.code_width, width=config.decoder_width, blocks=config.decoder_blocks
        ),
    )


def _build_latent(config: LatentModelConfig) -> LatentOccupancyNetwork:
    return LatentOccupancyNetwork(
        encoder=LatentEncoder(width=config.latent_width, code_width=config.code_width),
        decoder=ConditionalDecoder(
            code_width=config.code_width, width=config.decoder_width, blocks=config.decoder_blocks
        ),
        kl_weight=config.kl_weight,
    )


def _build_points(config: PointsModelConfig) -> PointsOccupancyNetwork:
    return PointsOccupancyNetwork(
        encoder=PointFeatures(config.feature_width), decoder=_plain_decoder(config), sigma=config.kernel_sigma
    )


def _plain_decoder(
    config: DenseModelConfig | DenseVoxelModelConfig | PointsModelConfig, local_encoding: str = "none"
) -> OccupancyDecoder:
    """Without levels and their weights; positions come as the network sees them, or are encoded as in the PointNet."""
    return OccupancyDecoder(
        feature_width=config.feature_width,
        levels=0,
        width=config.decoder_width,
        blocks=config.decoder_blocks,
        local_encoding=local_encoding,
    )


register_network(SparseModelConfig, build_sparse)
register_network(DenseModelConfig, _build_dense)
register_network(DenseVoxelModelConfig, _build_dense_voxels)
register_network(GlobalModelConfig, _build_global)
register_network(ImageModelConfig, _build_image)
register_network(LatentModelConfig, _build_latent)
register_network(PointsModelConfig, _build_points)
