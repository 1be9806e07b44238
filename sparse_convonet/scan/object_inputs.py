"""What a file shows of one object, as the network of a weights file takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.cleaning import clean_points
from sparse_convonet.coordinates import UnitFrame, up_rotation
from sparse_convonet.io.points import read_points
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.splats import draw_points
from sparse_convonet.structures import Mesh, TrainingSample

_HEADING_DEG, _ELEVATION_DEG = 65.0, 25.0
_POINT_COLOUR = (90, 130, 190)
_MOST_DRAWN = 100_000


@dataclass(frozen=True)
class ObservedObject:
    """sample: in world metres (units of the input), z up.  up: the axis of the input that points up.

    kind: what the file holds.  counts: what the report says of it.  cube: the unit cube.  surface_world: (N, 3) points that
    the surface should pass by, or None.  draw: a square picture, (S, S, 3) uint8, of what was observed.
    """

    sample: TrainingSample
    up: str
    kind: str
    counts: Mapping[str, int]
    cube: UnitFrame
    surface_world: np.ndarray | None
    draw: Callable[[int], np.ndarray]

    def to_input(self, mesh: Mesh) -> Mesh:
        """A mesh in world metres, in the frame of the input."""
        return Mesh(mesh.vertices @ up_rotation(self.up), mesh.faces)


def observe(path: Path, model: TrainedModel, *, up: str, points: int | None, seed: int) -> ObservedObject:
    """Read a file for the network of `model`.

    Raises FileNotFoundError or ValueError, in one sentence, for files that cannot be read or used, and for networks of
    whole buildings.
    """
    if model.config.data.folder is None:
        raise ValueError(
            f"{model.name}: expected a network of single objects, trained on a data set of unit cubes, found one of "
            "scenes in metres; use sparse-convonet reconstruct"
        )
    return _points(path, model, up, points, seed)


def frame_around(points_world: np.ndarray) -> UnitFrame:
    """The cube in whose middle the points (N, 3) lie, as long as their longest side."""
    low, high = points_world.min(axis=0), points_world.max(axis=0)
    return UnitFrame((low + high) / 2, float((high - low).max()))


def _points(path: Path, model: TrainedModel, up: str, wanted: int | None, seed: int) -> ObservedObject:
    cloud = read_points(path, seed=seed)
    kept, dropped = clean_points(cloud)
    world = kept.points @ up_rotation(up).T
    cube = frame_around(world)
    wanted = wanted or model.config.data.points
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(world), wanted, replace=False) if wanted < len(world) else np.arange(len(world))
    sample = object_sample(model, world[rows], cube)

    def draw(size: int) -> np.ndarray:
        shown = world[np.sort(rng.choice(len(world), min(_MOST_DRAWN, len(world)), replace=False))]
        colours = np.broadcast_to(np.array(_POINT_COLOUR, dtype=np.uint8), shown.shape)
        camera = ParallelCamera.looking_down(_HEADING_DEG, _ELEVATION_DEG)
        return draw_points(shown, colours, None, camera, size, size).picture

    counts = {"points_read": len(cloud), "points_dropped": dropped.total(), "points_used": len(rows)}
    return ObservedObject(sample, up, "points", counts, cube, world, draw)


def object_sample(model: TrainedModel, points_world: np.ndarray, cube: UnitFrame) -> TrainingSample:
    """Points without queries; lengths of the configuration are sides of the cube."""
    voxel_unit = float(np.sqrt(np.prod(model.config.data.voxel_size_m)))
    none = np.zeros((0, 3), dtype=np.float32)
    return TrainingSample(points_world, none, np.zeros(0, dtype=bool), voxel_unit * cube.metres_per_unit, cube)
