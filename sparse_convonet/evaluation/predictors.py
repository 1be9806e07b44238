"""What makes a mesh of a scan for evaluation: a network, whole or crop by crop, or a baseline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparse_convonet.baselines.reconstruction import reconstruct_baseline
from sparse_convonet.config.baselines import AlphaShapeSettings, BaselineSettings
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.data.batching import unit_frame_of
from sparse_convonet.evaluation.published import PUBLISHED_CELLS
from sparse_convonet.extract.sliding_window import sliding_window_mesh
from sparse_convonet.mesh.voxel_surface import surface_of_voxels
from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.reconstruct.sample_mesh import AS_EXTRACTED, Finishing, sample_mesh
from sparse_convonet.structures import Mesh, PointCloud, TrainingSample

WINDOW_CROP = 48  # voxels, with halos of as much again: what fits into a few GB


@dataclass(frozen=True)
class Prediction:
    """mesh: in world metres.  seconds: by stage.  seam: where the scene was encoded in parts, the largest difference of
    their logits where they meet; otherwise None."""

    mesh: Mesh
    seconds: Mapping[str, float]
    seam: float | None = None


class Predictor(Protocol):
    """Makes meshes of scans.  name: of its rows in tables.  parameters: how many numbers were learned.
    needs_normals: whether samples must have the normals of their points."""

    name: str
    parameters: int
    needs_normals: bool

    def predict(self, sample: TrainingSample) -> Prediction: ...


class NetworkPredictor:
    """A trained network.

    cells: of the mesh along the padded unit cube; None: the cell size that the configuration gives in voxels.
    """

    needs_normals = False

    def __init__(
        self,
        model: TrainedModel,
        cells: int | None = PUBLISHED_CELLS,
        threshold: float | None = None,
        finishing: Finishing = AS_EXTRACTED,
    ) -> None:
        self.model = model
        self.name = model.name
        self.parameters = sum(each.numel() for each in model.network.parameters())
        self.cells = cells
        self.threshold = threshold or model.threshold
        self.finishing = finishing

    def predict(self, sample: TrainingSample) -> Prediction:
        """Encode the sample and extract the mesh, in world metres."""
        found = sample_mesh(self.model, sample, cells=self.cells, threshold=self.threshold, finishing=self.finishing)
        return Prediction(found.mesh, found.seconds)


class WindowPredictor:
    """A dense network on voxels that runs over the scene in crops, as the papers do it on buildings."""

    needs_normals = False

    def __init__(self, model: TrainedModel, crop: int = WINDOW_CROP, threshold: float | None = None) -> None:
        network = model.network
        if not isinstance(network, DenseVoxelNetwork):
            raise ValueError(
                f"{model.name}: expected a network of dense voxels for a sliding window, found a "
                f"{model.config.model.field} one; leave the window out"
            )
        self.network = network
        self.name = model.name
        self.parameters = sum(each.numel() for each in network.parameters())
        self.crop = max(1, round(crop / network.stride)) * network.stride
        self.cells_per_voxel = max(1, round(1 / model.config.mesh.cell_share))
        self.threshold = threshold or model.threshold

    def predict(self, sample: TrainingSample) -> Prediction:
        """The mesh of all crops, in world metres; crops are not sewn together."""
        started = time.perf_counter()
        voxels = VoxelFrame.around(sample.points_world, sample.voxel_size_m)
        points = voxels.to_voxels(sample.points_world)
        found = sliding_window_mesh(self.network, points, self.crop, self.cells_per_voxel, self.threshold)
        mesh = Mesh(voxels.to_world(found.mesh.vertices), found.mesh.faces)
        seconds = time.perf_counter() - started
        seam = float(found.seams.max()) if len(found.seams) else None
        return Prediction(mesh, {"encode": found.encode_s, "mesh": seconds - found.encode_s}, seam)


class BaselinePredictor:
    """A method without learning."""

    parameters = 0

    def __init__(self, name: str, settings: BaselineSettings) -> None:
        self.name = name
        self.settings = settings
        self.needs_normals = not isinstance(settings, AlphaShapeSettings) and settings.normals == "given"

    def predict(self, sample: TrainingSample) -> Prediction:
        """The mesh of the sample's points, in world metres."""
        cloud = PointCloud(sample.points_world.astype(np.float64), normals=sample.normals_world)
        result = reconstruct_baseline(cloud, self.settings)
        return Prediction(result.mesh, dict(result.seconds))


class VoxelSurfacePredictor:
    """The surface of the voxels that are shown."""

    parameters = 0
    needs_normals = False

    def __init__(self, name: str) -> None:
        self.name = name

    def predict(self, sample: TrainingSample) -> Prediction:
        """Raises ValueError for a sample without voxels."""
        if sample.shown is None or sample.shown.dtype != np.bool_:
            raise ValueError(f"{self.name}: expected the voxels of a model, found none; set data.input to voxels")
        started = time.perf_counter()
        found = surface_of_voxels(sample.shown)
        vertices = unit_frame_of(sample).to_world(found.vertices / len(sample.shown) - 0.5)
        return Prediction(Mesh(vertices, found.faces), {"mesh": time.perf_counter() - started})


def as_unit_mesh(mesh: Mesh, sample: TrainingSample) -> Mesh:
    """A mesh of world metres in the unit cube of a sample.  The cube is turned, not mirrored: faces stay as they are."""
    return Mesh(unit_frame_of(sample).to_unit(mesh.vertices), mesh.faces)


def empty_mesh() -> Mesh:
    """No vertex and no face."""
    return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
