"""The drawing of a storey to print."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from shapely.geometry import MultiPolygon, box

from sparse_convonet.floor_plan.plan_frame import PlanFrame
from sparse_convonet.floor_plan.storey_plan import Room, StoreyPlan
from sparse_convonet.floor_plan.svg import write_svg


def test_the_sheet_holds_rooms_that_reach_beyond_the_walls(tmp_path: Path) -> None:
    """As that of a gallery, which ends at a railing."""
    room = Room(1, box(-3.0, 0.0, 6.0, 4.0), True, 1.0, ())
    walls = MultiPolygon([box(6.0, 0.0, 6.2, 4.0)])
    plan = StoreyPlan(1, 0.0, 0.02, walls, MultiPolygon(), (), (room,), (), 0)
    write_svg(tmp_path / "plan.svg", plan, PlanFrame(("x", "y", "z"), 1.0), "gallery")
    root = ElementTree.parse(tmp_path / "plan.svg").getroot()
    left, top, width, height = (float(number) for number in (root.get("viewBox") or "").split())
    (path,) = (each.get("d") or "" for each in root.iter() if each.get("class") == "room")
    corners = np.array([float(number) for number in path.translate({ord(letter): " " for letter in "MLZ,"}).split()])
    x, y = corners.reshape(-1, 2).T
    assert left < x.min() and x.max() < left + width and top < y.min() and y.max() < top + height
