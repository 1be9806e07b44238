"""Where a mesh is written to, and what is known of it then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import ScanFrame, up_rotation
from sparse_convonet.io.meshes import FLOAT32_OFFSET_LIMIT_M, write_mesh
from sparse_convonet.io.usd import write_usd
from sparse_convonet.mesh.light import LightMesh
from sparse_convonet.mesh.placed import in_scan
from sparse_convonet.mesh.topology import MeshStatistics
from sparse_convonet.metrics.certificate import Certificate
from sparse_convonet.metrics.sides import ScanSideShares
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResultPaths:
    """mesh: .ply.  preview: .png.  light: of the light mesh, .glb, .usd, .obj, .stl, .off or .ply; made if there are any.
    light_error_m: of mesh.light.  tiles: the folder of 3D Tiles, or None.  title: the first words below the picture; none:
    it has no words.  to_earth: of the 3D Tiles, see TilesetWriter."""

    mesh: Path
    preview: Path
    light: Sequence[Path] = ()
    light_error_m: float = 0.01
    tiles: Path | None = None
    title: str = ""
    to_earth: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class LightFacts:
    """Of a light mesh: how many faces, the error that it was allowed, and what was measured (mesh.light.LightMesh)."""

    faces: int
    allowed_error_m: float
    within_68_m: float
    within_95_m: float
    largest_m: float


@dataclass(frozen=True)
class WrittenMesh:
    """statistics: of the whole mesh, in the units of the scan, as mesh_statistics.  coverage: the share of the points
    within each of the distances asked for.  removed_pieces: connected pieces that were too small or had too few points.
    sides: None where no scanner is known.  certificate: what error is expected.  storeys: from the lowest up, metres, z
    up.  light: None where none was asked for."""

    statistics: MeshStatistics
    coverage: tuple[float, ...]
    removed_pieces: int
    sides: ScanSideShares | None
    certificate: Certificate
    storeys: tuple[Storey, ...]
    light: LightFacts | None = None


def write_light(paths: ResultPaths, light: LightMesh, frame: ScanFrame) -> LightFacts:
    """Write the light mesh: .glb in metres, y up, as its standard has it; .usd in metres, z up; others as the scan.

    .stl has no colours, and far from the origin it counts from a place near its middle, which is logged.
    """
    mesh = light.mesh
    for path in paths.light:
        if path.suffix.lower() == ".glb":
            turn = up_rotation("y")  # from y up to z up, so its inverse is asked for
            assert mesh.normals is not None
            normals = (mesh.normals @ turn).astype("float32")
            write_mesh(path, replace(mesh, vertices=mesh.vertices @ turn, normals=normals))
        elif path.suffix.lower() == ".usd":
            with atomic_path(path) as temporary:
                write_usd(temporary, mesh)
        elif path.suffix.lower() == ".stl":
            write_mesh(path, _for_stl(in_scan(mesh, frame)))
        else:
            write_mesh(path, in_scan(mesh, frame))
    return LightFacts(len(mesh.faces), paths.light_error_m, light.within_68_m, light.within_95_m, light.largest_m)


def _for_stl(mesh: Mesh) -> Mesh:
    """What float32 numbers can say of it."""
    if np.abs(mesh.vertices).max() <= FLOAT32_OFFSET_LIMIT_M:
        return Mesh(mesh.vertices, mesh.faces)
    middle = np.round(mesh.vertices.mean(axis=0))
    place = ", ".join(f"{value:.0f}" for value in middle)
    logger.warning("mesh.stl counts from %s: STL's float32 is too coarse so far from the origin of the scan", place)
    return Mesh(mesh.vertices - middle, mesh.faces)
