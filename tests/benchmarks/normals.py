"""How near the normals of a mesh are to the truth: averaged over the faces around, and along the field's gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.building import building_of_area
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from tests.benchmarks.tables import column

TEXT = (
    "A generated furnished building of 100 m², scanned virtually, reconstructed twice. Angles, without sign, between the "
    "normal of a vertex and that of the nearest face of the truth, over the vertices within 2 cm of it."
)

_NEAR_M = 0.02
_RAYS, _STATION_SPACING_M = 400_000, 2.5
_VOXELS_M = (0.05, 0.08)


@dataclass(frozen=True)
class NormalsRow:
    voxel_m: float = column("voxels, m", "{:.2f}")
    normals: str = column("normals")
    vertices: int = column("vertices", "{:,}")
    mean_deg: float = column("mean, degrees", "{:.1f}")
    median_deg: float = column("median, degrees", "{:.1f}")
    p90_deg: float = column("90th percentile, degrees", "{:.1f}")


def run(quick: bool) -> list[NormalsRow]:
    building = building_of_area(50 if quick else 100, FurnitureLibrary.load().split("test"))
    rng = np.random.default_rng(0)
    stations = choose_stations(building, rng, _STATION_SPACING_M)
    vertices, faces = building.mesh()
    rays = 20_000 if quick else _RAYS
    cloud = VirtualScanner(vertices, faces).scan_stations(stations, rays // len(stations), ScannerSettings(), rng)
    truth = TriangleScene(vertices, faces, threads=0)
    rows = []
    for voxel_m in _VOXELS_M:
        for name, of_field in (("of the faces around", False), ("of the field", True)):
            settings = ReconstructionSettings(voxel_size_m=voxel_m, field_normals=of_field)
            mesh = Reconstructor.from_pretrained("building", settings=settings).run(cloud).mesh
            assert mesh.normals is not None
            distance, normal = truth.nearest(mesh.vertices)
            near = distance < _NEAR_M
            cosine = np.abs(np.einsum("ij,ij->i", mesh.normals[near], normal[near])).clip(0, 1)
            angle = np.rad2deg(np.arccos(cosine))
            shares = (float(value) for value in (angle.mean(), np.median(angle), np.quantile(angle, 0.9)))
            rows.append(NormalsRow(voxel_m, name, int(near.sum()), *shares))
    return rows
