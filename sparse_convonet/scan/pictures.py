"""Pictures of a finished reconstruction beside preview.png: each storey on a page of its own, and a section."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.picture.cutaway import render_cutaway
from sparse_convonet.picture.section import render_section
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.scan.page import read_upright

SECTION_FILE = "section.png"
_STOREY = re.compile(r"storey_[1-9][0-9]*\.png")


def storey_pictures_in(folder: Path) -> list[str]:
    """Names of the pictures of storeys that a folder holds, made by any run."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if _STOREY.fullmatch(path.name))


def write_pictures(light_glb: Path, storeys: Sequence[Storey], title: str, place: Callable[[str], Path]) -> None:
    """Write storey_1.png, ..., the lowest first, and section.png.

    light_glb: the light mesh, metres, y up.  title: of the captions.  place: where the file of a name is written to.
    """
    mesh = read_upright(light_glb)
    solid = is_watertight(mesh.faces, len(mesh.vertices))
    for number, storey in enumerate(storeys, start=1):
        is_cut = storey.cut_z < mesh.vertices[:, 2].max()
        how = f"cut {storey.cut_z - storey.floor_z:.1f} m above its floor" if is_cut else "whole"
        caption = f"{title}: storey {number} of {len(storeys)}", how
        render_cutaway(mesh, place(f"storey_{number}.png"), solid=solid, storeys=(storey,), caption=caption, fit=True)
    caption = f"{title}: section", "along the longer side, where few walls run"
    render_section(mesh, place(SECTION_FILE), solid=solid, caption=caption)
