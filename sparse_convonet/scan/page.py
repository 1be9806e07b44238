"""The page of a finished reconstruction: its light mesh, a sample of the scan's points, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample, place_keys
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.gltf_document import vertex_numbers
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.metrics.point_distance import PointDistance
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.report.page_figures import choices_of, figures_of
from sparse_convonet.report.reconstruction_page import MOST_POINTS, ReconstructionPage, write_reconstruction_page
from sparse_convonet.structures import Mesh

PAGE_FILE, PAGE_MESH = "page.html", "mesh.glb"
MOST_MEASURED = 50_000_000  # points; of more, the distance of the mesh to them would take minutes
FARTHEST_M = 1.0  # distances beyond are not told apart
_CARRIED = ("observed", "expected_error")  # numbers of the vertices that a light mesh may have


def write_scan_page(
    path: Path,
    light_glb: Path,
    points: PointSource,
    report: Mapping[str, Any],
    *,
    storeys: tuple[Storey, ...] | None = None,
    has_tiles: bool = False,
) -> int:
    """Write the page, and return how many faces it shows.

    light_glb: metres, y up; where its vertices have numbers _OBSERVED (0, 1) or _EXPECTED_ERROR (millimetres), they can be
    looked at.  report: what report.json says.  storeys: of the mesh; None: those of the light one.  has_tiles: whether
    there are 3D Tiles beside the page.
    """
    mesh = read_upright(light_glb)
    numbers = vertex_numbers(light_glb, _CARRIED)
    notes = []
    distance = PointDistance(mesh.vertices, FARTHEST_M) if points.count <= MOST_MEASURED else None
    samples, colours = [], []
    for part in points.parts():
        chosen = in_place_sample(part.points_world, points.count, MOST_POINTS)
        samples.append(part.points_world[chosen])
        if part.colours is not None:
            colours.append(part.colours[chosen])
        if distance is not None:
            distance.add(part.points_world)
    if distance is None:
        notes.append(f"The distance to the points is not measured for a scan of more than {MOST_MEASURED:,} points.")
    else:
        numbers = {"distance": distance.distance * 1000, **numbers}
    sample, name = np.concatenate(samples), ", ".join(report["input"]["files"])
    order = np.argsort(place_keys(sample), kind="stable")  # the same in whatever parts they came
    page = ReconstructionPage(
        title=name,
        mesh_world=mesh,
        points_world=sample[order],
        point_colours=np.concatenate(colours)[order] if points.has_colours else None,
        vertex_numbers=numbers,
        figures=figures_of(report),
        choices=choices_of(report),
        notes=notes,
        elsewhere=_elsewhere(has_tiles),
        storeys=storeys,
    )
    return write_reconstruction_page(path, page)


def read_upright(light_glb: Path) -> Mesh:
    """A light mesh, metres, z up."""
    given = read_mesh(light_glb)
    return Mesh(given.vertices @ up_rotation("y").T, given.faces, colours=given.colours)


def _elsewhere(has_tiles: bool) -> str:
    """Where the mesh is that is too large for the page."""
    if has_tiles:
        return "in mesh.glb, and as 3D Tiles in the folder tiles"
    return "in mesh.glb; --tiles writes the whole mesh as 3D Tiles, which viewers load piece by piece"
