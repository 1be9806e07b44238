"""Stage floor_plan: floor_plan.dxf, for CAD: each storey on layers of its own, at the height of its floor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from sparse_convonet.floor_plan.storey_plan import StoreyPlan
from sparse_convonet.runtime.refusals import require_package

_METRES = 6  # of $INSUNITS
_TEXT_M = 0.25
_LAYERS = {"WALLS": 7, "WALLS_GUESSED": 30, "OPENINGS": 5, "ROOMS": 3, "TEXT": 2, "FURNITURE": 8}  # colours of AutoCAD


def require_ezdxf() -> Any:
    """The package; raises ValueError where it is missing."""
    return require_package("ezdxf", "plan", "--floor-plan")


def write_dxf(path: Path, plans: Sequence[StoreyPlan]) -> None:
    """Write all storeys, metres, in the coordinates of the plans (plan_frame.PlanFrame), as float64."""
    ezdxf = require_ezdxf()
    with _without_dates(ezdxf):
        _drawing(ezdxf, plans).saveas(path)


@contextmanager
def _without_dates(ezdxf: Any) -> Iterator[None]:
    """So that the same plan is the same file: no time of writing, no new GUID."""
    before = ezdxf.options.write_fixed_meta_data_for_testing
    ezdxf.options.write_fixed_meta_data_for_testing = True
    try:
        yield
    finally:
        ezdxf.options.write_fixed_meta_data_for_testing = before


def _drawing(ezdxf: Any, plans: Sequence[StoreyPlan]) -> Any:
    document = ezdxf.new("R2010", setup=False)
    document.header["$INSUNITS"] = _METRES
    document.header["$MEASUREMENT"] = 1
    space = document.modelspace()
    for plan in plans:
        layers = {name: f"S{plan.number}_{name}" for name in _LAYERS}
        for name, layer in layers.items():
            document.layers.add(layer, color=_LAYERS[name])
        height = {"elevation": plan.floor_z}
        for layer, areas in (("WALLS", plan.walls.geoms), ("FURNITURE", plan.furniture.geoms)):
            for ring in (ring for area in areas for ring in _rings(area)):
                space.add_lwpolyline(ring, close=True, dxfattribs={"layer": layers[layer], **height})
        for line in plan.guessed:
            space.add_lwpolyline(line, dxfattribs={"layer": layers["WALLS_GUESSED"], **height})
        for opening in plan.openings:
            space.add_lwpolyline(opening.ends, dxfattribs={"layer": layers["OPENINGS"], **height})
            words = f"{opening.kind} {opening.width_m:.2f}"
            _write(space, words, opening.centre, layers["TEXT"], plan.floor_z, _TEXT_M / 2)
        for room in plan.rooms:
            for ring in _rings(room.outline):
                space.add_lwpolyline(ring, close=True, dxfattribs={"layer": layers["ROOMS"], **height})
            words = f"{room.number}: {room.outline.area:.1f} m2"
            _write(space, words, room.label_place, layers["TEXT"], plan.floor_z, _TEXT_M)
    return document


def _rings(area: Polygon) -> Iterator[np.ndarray]:
    """(N, 2) each, without the repeated last corner."""
    for ring in (area.exterior, *area.interiors):
        yield np.asarray(ring.coords)[:-1]


def _write(space: Any, words: str, place: np.ndarray, layer: str, height: float, size: float) -> None:
    """Text about a place."""
    text = space.add_text(words, height=size, dxfattribs={"layer": layer})
    x, y = (float(value) for value in place)
    text.dxf.halign, text.dxf.valign = 1, 2  # centre, middle
    text.dxf.insert = text.dxf.align_point = (x, y, height)
