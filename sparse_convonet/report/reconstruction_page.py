"""Stage report: one HTML page that shows a mesh, the points it was made from and how it was made.

It needs no other file and no network.  Its program is in the template viewer/page.html, which tools/build_viewer.sh makes.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from sparse_convonet.mesh.light_numba import number_by_first_use
from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.picture.camera import heading_off_walls
from sparse_convonet.picture.storeys import Storey, find_storeys
from sparse_convonet.report.page_arrays import (
    PackedArray,
    near_in_order,
    pack_faces,
    pack_integers,
    pack_numbers,
    pack_positions,
)
from sparse_convonet.report.page_coarser import coarser_mesh
from sparse_convonet.report.page_figures import Figure
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

MOST_FACES = 2_000_000
MOST_BYTES = 30_000_000
MOST_POINTS = 300_000
_LEAST_FACES, _TRIES, _SPARE = 1_000, 4, 0.9
# And the steps in which they are told.
VERTEX_NUMBERS = {"distance": 1.0, "expected_error": 0.1, "error": 0.1, "observed": 1.0}
_POINT_SIZE_M = 0.012


@dataclass(frozen=True)
class ReconstructionPage:
    """What a page shows.

    mesh_world: metres, z up, with at least one face.  points_world: (M, 3), of the scan, at most MOST_POINTS are shown;
    point_colours: (M, 3) uint8 or None.  vertex_numbers: (V,) each, of the names in VERTEX_NUMBERS: distance to the
    nearest point, expected_error and error, that is distance to the truth, millimetres, and observed, 0 or 1; those that
    are missing are not offered.  colour: the name of the numbers that colour the mesh at first; "": photo, or none.
    storeys: None finds them.  error_name: what error is, for the legend.  error_high_mm: at which its colours end; None: by
    what there is.
    title, figures, choices, notes: text, shown as it is, never taken for HTML.  elsewhere: where the whole mesh is, said
    where the page shows a coarser one.
    """

    title: str
    mesh_world: Mesh
    points_world: np.ndarray
    point_colours: np.ndarray | None = None
    vertex_numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    choices: Sequence[Figure] = ()
    notes: Sequence[str] = ()
    elsewhere: str = "in mesh.ply"
    colour: str = ""
    storeys: tuple[Storey, ...] | None = None
    error_name: str = "distance to the truth"
    error_high_mm: float | None = None

    def __post_init__(self) -> None:
        if len(self.mesh_world.faces) == 0:
            raise ValueError("page: expected a mesh with faces, found none; nothing can be shown")
        for name, values in self.vertex_numbers.items():
            if name not in VERTEX_NUMBERS:
                raise ValueError(f"page: expected vertex numbers named {', '.join(VERTEX_NUMBERS)}, found {name!r}")
            if np.shape(values) != (len(self.mesh_world.vertices),):
                raise ValueError(
                    f"page: expected {len(self.mesh_world.vertices)} numbers of {name}, one per vertex, found shape "
                    f"{np.shape(values)}"
                )


def write_reconstruction_page(
    path: Path, page: ReconstructionPage, *, most_faces: int = MOST_FACES, most_bytes: int = MOST_BYTES
) -> int:
    """Write the page, and return how many faces it shows.

    A mesh of more than most_faces, or one with which the page would have more than most_bytes, is simplified for the
    page, which says so.  Raises ValueError where the page is too large even so.
    """
    storeys = find_storeys(page.mesh_world) if page.storeys is None else page.storeys
    heading = heading_off_walls(page.mesh_world)
    shown, fixed = _thinned(_simplified(page, most_faces), MOST_POINTS), len(_template())
    for _ in range(_TRIES):
        text = _html(page, shown, storeys, heading).encode("utf-8")
        if len(text) <= most_bytes:
            with atomic_path(path) as temporary:
                temporary.write_bytes(text)
            return len(shown.mesh_world.faces)
        share = _SPARE * (most_bytes - fixed) / (len(text) - fixed)
        if share <= 0:
            break
        shown = _simplified(shown, max(_LEAST_FACES, int(share * len(shown.mesh_world.faces))))
        shown = _thinned(shown, int(share * len(shown.points_world)))
    raise ValueError(f"{path}: expected a page of at most {most_bytes} bytes, found {len(text)}; allow more")


def _simplified(page: ReconstructionPage, faces: int) -> ReconstructionPage:
    """With about so many faces, the rest of each vertex from the nearest one before."""
    mesh = page.mesh_world
    if faces >= len(mesh.faces):
        return page
    coarse, nearest = coarser_mesh(mesh, faces)
    numbers = {name: np.asarray(values)[nearest] for name, values in page.vertex_numbers.items()}
    return replace(page, mesh_world=coarse, vertex_numbers=numbers)


def _thinned(page: ReconstructionPage, points: int) -> ReconstructionPage:
    """With at most so many points, evenly chosen."""
    count = len(page.points_world)
    rows = np.arange(points) * count // points if points < count else np.arange(count)
    colours = None if page.point_colours is None else page.point_colours[rows]
    return replace(page, points_world=page.points_world[rows], point_colours=colours)


def _html(page: ReconstructionPage, shown: ReconstructionPage, storeys: Sequence[Storey], heading: float) -> str:
    mesh = page.mesh_world
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    arrays = _arrays(shown, middle)
    notes, count = list(page.notes), len(shown.mesh_world.faces)
    if count < len(mesh.faces):
        notes.insert(
            0,
            f"This page shows a coarser mesh of {count:,} faces; the one with {len(mesh.faces):,} is {page.elsewhere}.",
        )
    header = {
        "texts": {
            "title": page.title,
            "subtitle": f"{count:,} faces · {len(shown.points_world):,} points shown",
            "notes": notes,
            "sections": [
                {"heading": name, "rows": [[row.label, row.value, row.reason] for row in rows]}
                for name, rows in (("Figures", page.figures), ("Choices and their reasons", page.choices))
                if rows
            ],
        },
        "layout": {
            "heading": np.deg2rad(heading),
            "middle": middle.tolist(),
            "solid": is_watertight(mesh.faces, len(mesh.vertices)),
            "colour": page.colour,
            "error_name": page.error_name[:1].upper() + page.error_name[1:],
            "error_high": page.error_high_mm,
            "base_z": storeys[0].floor_z - middle[2],
            "point_size_m": _POINT_SIZE_M,
            "storeys": [
                {
                    "floor": each.floor_z - middle[2],
                    "bottom": each.bottom_z - middle[2],
                    "cut": each.cut_z - middle[2],
                    "opens": bool(each.cut_z < mesh.vertices[:, 2].max()),
                }
                for each in storeys
            ],
        },
        "arrays": {name: packed.layout for name, packed in arrays.items()},
    }
    texts = json.dumps(header).replace("<", "\\u003c")  # so that no text ends the element that holds it
    data = [f'<script type="application/json" id="page-data">{texts}</script>']
    data += [f'<script type="text/plain" id="array-{name}">{packed.text}</script>' for name, packed in arrays.items()]
    head, after_title = _template().split("<title>@title@</title>")
    before_data, tail = after_title.replace("@title@", "", 1).split("@data@")
    return "".join([head, f"<title>{html.escape(page.title)}</title>", before_data, *data, tail])


def _template() -> str:
    return (files("sparse_convonet.report") / "viewer" / "page.html").read_text(encoding="utf-8")


def _arrays(page: ReconstructionPage, middle: np.ndarray) -> dict[str, PackedArray]:
    mesh = page.mesh_world
    faces = mesh.faces[near_in_order(mesh.vertices[mesh.faces].mean(axis=1))]
    used, local = number_by_first_use(faces, faces.min(), faces.max())
    arrays = {"vertices": pack_positions(mesh.vertices[used], middle), "faces": pack_faces(local)}
    if mesh.colours is not None:
        arrays["photo"] = pack_integers(mesh.colours[used])
    for name, values in page.vertex_numbers.items():
        arrays[name] = pack_numbers(np.asarray(values)[used], VERTEX_NUMBERS[name])
    rows = near_in_order(page.points_world) if len(page.points_world) else np.zeros(0, dtype=np.int64)
    arrays["points"] = pack_positions(page.points_world[rows], middle)
    if page.point_colours is not None:
        arrays["point_photo"] = pack_integers(page.point_colours[rows])
    return arrays
