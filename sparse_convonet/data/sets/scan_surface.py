"""The surface of one scan in metres, and the points that are drawn from it into the unit cube.

The published preparation of ScanNet swaps y and z to get y up, which gives the mirror image of a room.  Here the scan
is turned (UnitFrame), so that left stays left and frame.json leads back to the scan's own metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.samples import Precision, SurfaceSamples
from sparse_convonet.mesh.surface_sampling import sample_faces
from sparse_convonet.structures import Mesh, PointCloud


@dataclass(frozen=True)
class Surface:
    """What the points of a model are drawn from, in metres, z up.

    geometry: a mesh, sampled uniformly by area, or measured points, of which some are taken.  labels: (V,) integer
    classes of a mesh's vertices, or None.  remarks: what a user should know of the scan, in words that many share.
    """

    geometry: Mesh | PointCloud
    labels: np.ndarray | None = None
    remarks: tuple[str, ...] = ()

    def bounds(self) -> np.ndarray:
        """(2, 3) float64 lowest and highest corner of the points, or of the vertices that faces use."""
        if isinstance(self.geometry, PointCloud):
            points = self.geometry.points
        else:
            points = self.geometry.vertices[np.unique(self.geometry.faces)]
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) == 0:
            raise ValueError("scan: expected points with finite coordinates, found none; export it again")
        return np.stack([points.min(axis=0), points.max(axis=0)])


@dataclass(frozen=True)
class Drawing:
    """points: in each file, or all of a cloud where it has fewer.  files: draws of the same surface.

    metres: with frame.json and float32 (half precision would lose centimetres of a building); otherwise as published,
    float16 and no size.
    """

    points: int
    files: int = 1
    seed: int = 0
    metres: bool = True

    def __post_init__(self) -> None:
        if self.points < 1 or self.files < 1 or self.seed < 0:
            raise ValueError(
                f"expected at least 1 point and 1 file and a seed of at least 0, found {self.points} points, "
                f"{self.files} files and seed {self.seed}"
            )

    @property
    def precision(self) -> Precision:
        """Of the numbers in the files."""
        return "float32" if self.metres else "float16"


def draw_surface(surface: Surface, frame: UnitFrame, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """`count` points of the surface in the unit cube, in random order; of measured points, each at most once."""
    if isinstance(surface.geometry, PointCloud):
        kept = surface.geometry.select(rng.permutation(len(surface.geometry))[:count])
        points, normals, semantics = kept.points, kept.normals, None
    else:
        samples = sample_faces(surface.geometry, count, rng)
        order = rng.permutation(count)  # so that any first part is uniform too
        points, normals = samples.points[order], samples.normals[order]
        corners = None if surface.labels is None else surface.labels[surface.geometry.faces[samples.faces[order]]]
        semantics = None if corners is None else _majority(corners)
    upright = UnitFrame(np.zeros(3), 1.0)  # directions turn as points do
    turned = None if normals is None else upright.to_unit(normals)
    return SurfaceSamples(frame.to_unit(points), turned, semantics)


def _majority(corners: np.ndarray) -> np.ndarray:
    """(N, 3) labels of the corners -> (N,) the one that two of them share, else the first corner's."""
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])
