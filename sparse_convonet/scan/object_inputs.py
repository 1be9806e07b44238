"""What a file shows of one object, as the network of a weights file takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.cleaning import clean_points
from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.coordinates import UnitFrame, VoxelFrame, up_rotation
from sparse_convonet.data.convonet.dataset import voxel_centres
from sparse_convonet.data.convonet.pictures import square_picture
from sparse_convonet.data.convonet.renderings import read_picture
from sparse_convonet.data.voxel_sources import OCTOMAPS, VOXEL_SUFFIXES, read_cells
from sparse_convonet.data.voxelising import voxels_of_mesh
from sparse_convonet.io.array_archive import ArrayArchive
from sparse_convonet.io.meshes import READ_SUFFIXES as MESH_SUFFIXES
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.points import read_points
from sparse_convonet.mesh.voxel_surface import surface_of_voxels
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.splats import draw_points
from sparse_convonet.report.shape_sheet import Z_UP, show_mesh
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud, TrainingSample

_HEADING_DEG, _ELEVATION_DEG = 65.0, 25.0
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
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


def observe(path: Path, model: TrainedModel, *, up: str | None, points: int | None, seed: int) -> ObservedObject:
    """Read a file for the network of `model`: points, voxels or a picture, by what it sees.

    up: None: z of an OctoMap, y of everything else.  points: how many points are shown; None: as in training.

    Raises FileNotFoundError or ValueError, in one sentence, for files that cannot be read or used, and for networks of
    whole buildings.
    """
    if model.network.sees == "voxels" and path.suffix.lower() in VOXEL_SUFFIXES and not _holds_points(path):
        return _cells(path, model, up or ("z" if path.suffix.lower() in OCTOMAPS else "y"))
    if model.network.sees == "image":
        return _photo(path, model, up or "y")
    if model.network.sees == "queries":
        raise ValueError(
            f"{model.name}: expected a network of something observed, found a generative one; use sparse-convonet sample"
        )
    if model.config.data.folder is None:
        raise ValueError(
            f"{model.name}: expected a network of single objects, trained on a data set of unit cubes, found one of "
            "scenes in metres; use sparse-convonet reconstruct"
        )
    up = up or "y"
    if model.network.sees == "voxels":
        return _voxelised(path, model, up, seed)
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


def _cells(path: Path, model: TrainedModel, up: str) -> ObservedObject:
    """Voxels as a file has them: a sparse network takes any, those of a cube need as many as they were trained with."""
    cells = read_cells(path)
    world = cells.centres() @ up_rotation(up).T
    if model.network.coordinates == "voxel":
        low, high = world.min(axis=0) - cells.size / 2, world.max(axis=0) + cells.size / 2
        cube = UnitFrame((low + high) / 2, float((high - low).max()))
        sample = replace(object_sample(model, world, cube), voxel_size_m=cells.size, on_lattice=True)
        return _shown_cells(sample, up, cells.size)
    resolution = cube_resolution(model)
    if cells.shape != (resolution,) * 3:
        found = "voxels without bounds" if cells.shape is None else " x ".join(map(str, cells.shape))
        raise ValueError(
            f"{path}: expected {resolution} x {resolution} x {resolution} voxels, found {found}; make them anew from the "
            "mesh, or use a network of configs/voxels/sparse, which takes any"
        )
    side = cells.size * resolution
    middle = np.asarray(cells.origin) + side / 2
    return _in_cube(model, world, UnitFrame(up_rotation(up) @ middle, side), up)


def _voxelised(path: Path, model: TrainedModel, up: str, seed: int) -> ObservedObject:
    """Voxels of a mesh, filled, or of points, in the cube around them."""
    suffix, resolution = path.suffix.lower(), cube_resolution(model)
    geometry: Mesh | PointCloud = read_points(path, seed=seed)
    if suffix in MESH_SUFFIXES:
        require_file(path)
        found = read_geometry(path)
        geometry = found if isinstance(found, Mesh) else geometry
    if isinstance(geometry, Mesh):
        world = geometry.vertices[np.unique(geometry.faces)] @ up_rotation(up).T
        cube = frame_around(world)
        in_cube = Mesh(cube.to_unit(geometry.vertices @ up_rotation(up).T), geometry.faces)
        occupied = voxels_of_mesh(in_cube, resolution)
    else:
        kept, _ = clean_points(geometry)
        cube = frame_around(kept.points @ up_rotation(up).T)
        occupied = np.zeros((resolution,) * 3, dtype=bool)
        places = np.floor((cube.to_unit(kept.points @ up_rotation(up).T) + 0.5) * resolution).astype(int)
        occupied[tuple(places.clip(0, resolution - 1).T)] = True
    return _in_cube(model, cube.to_world(voxel_centres(occupied)), cube, up)


def _in_cube(model: TrainedModel, world: np.ndarray, cube: UnitFrame, up: str) -> ObservedObject:
    """The voxels of the unit cube with these centres (V, 3)."""
    resolution = cube_resolution(model)
    shown = np.zeros((resolution,) * 3, dtype=bool)
    shown[tuple(np.floor((cube.to_unit(world) + 0.5) * resolution).astype(int).clip(0, resolution - 1).T)] = True
    size = cube.metres_per_unit / resolution
    sample = replace(object_sample(model, world, cube), voxel_size_m=size, shown=shown, on_lattice=True)
    return _shown_cells(sample, up, size)


def _shown_cells(sample: TrainingSample, up: str, size: float) -> ObservedObject:
    """sample: with the centres of the voxels as its points."""
    lattice = VoxelFrame.of_lattice(sample.points_world, size)

    def draw(pixels: int) -> np.ndarray:
        index = np.floor(lattice.to_voxels(sample.points_world)).astype(np.int64)
        occupied = np.zeros(index.max(axis=0) + 1, dtype=bool)
        occupied[tuple(index.T)] = True
        return show_mesh(surface_of_voxels(occupied), pixels, Z_UP)

    assert sample.unit_frame is not None
    return ObservedObject(sample, up, "voxels", {"voxels": len(sample.points_world)}, sample.unit_frame, None, draw)


def cube_resolution(model: TrainedModel) -> int:
    """How many voxels along the unit cube a network of voxels sees; of a sparse one, as many as it was trained with."""
    if isinstance(model.config.model, SparseModelConfig):
        return round(1 / float(np.sqrt(np.prod(model.config.data.voxel_size_m))))
    return int(getattr(model.config.model, "input_voxels", 0))


def _holds_points(path: Path) -> bool:
    """Whether an .npz is one of points."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    with ArrayArchive(path) as archive:
        return "points" in archive


def _photo(path: Path, model: TrainedModel, up: str) -> ObservedObject:
    """A picture; the mesh stands in the unit cube, as the objects of the training did."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(
            f"{path}: expected a picture ({', '.join(PICTURE_SUFFIXES)}) for {model.name}, a network of pictures, found "
            f"the suffix {path.suffix!r}; name one, or another --model"
        )
    image = read_picture(path)
    try:
        shown = square_picture(image, model.config.data.image_pixels)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    cube = UnitFrame(np.zeros(3), 1.0)
    sample = replace(object_sample(model, np.zeros((0, 3)), cube), shown=shown)

    def draw(size: int) -> np.ndarray:
        return np.rint(255 * square_picture(image, size)).astype(np.uint8).transpose(1, 2, 0)

    counts = {"width": image.shape[1], "height": image.shape[0]}
    return ObservedObject(sample, up, "image", counts, cube, None, draw)


def object_sample(model: TrainedModel, points_world: np.ndarray, cube: UnitFrame) -> TrainingSample:
    """Points without queries; lengths of the configuration are sides of the cube."""
    voxel_unit = float(np.sqrt(np.prod(model.config.data.voxel_size_m)))
    none = np.zeros((0, 3), dtype=np.float32)
    return TrainingSample(points_world, none, np.zeros(0, dtype=bool), voxel_unit * cube.metres_per_unit, cube)
