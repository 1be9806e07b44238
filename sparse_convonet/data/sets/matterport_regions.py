"""Scans of Matterport3D as models of a data set: whole buildings, their floors, or their regions (rooms).

Regions and levels stand in house_segmentations/<id>.house, lines of words (github.com/niessner/Matterport,
data_organization.md):
    L level_index #regions label  px py pz  xlo ylo zlo xhi yhi zhi  ...
    R region_index level_index 0 0 label  px py pz  xlo ylo zlo xhi yhi zhi  ...
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from sparse_convonet.data.sets.official_splits import OfficialSplits
from sparse_convonet.data.sets.prepared import PreparedModel
from sparse_convonet.data.sets.scan_surface import Drawing, Surface
from sparse_convonet.io.matterport import find_house_file, find_regions, read_matterport, read_regions
from sparse_convonet.runtime.refusals import unreadable
from sparse_convonet.structures import Mesh

CATEGORY, TITLE = "matterport3d", "Matterport3D scans"
LISTS = "scenes_{}.txt"
Part = Literal["building", "floors", "regions"]
POINTS: dict[Part, int] = {"building": 500_000, "floors": 500_000, "regions": 100_000}

LEVELS_GUESSED = "no levels in the .house file, floors found from the heights of regions"
REGIONS_LEFT_OUT = "regions of the building that are on no level left out"
_FLOOR_GAP_M = 1.5  # regions whose floors lie so far apart belong to different floors of the building

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HouseRegion:
    """A room of a scan.  level: index of its floor, -1: none.  bounds_m: (2, 3) float64 lowest and highest corner."""

    number: int
    level: int
    bounds_m: np.ndarray


@dataclass(frozen=True)
class FloorLayout:
    """floors: the regions of each, from the lowest up.  without: regions on no level, such as images in mirrors."""

    floors: tuple[tuple[HouseRegion, ...], ...]
    without: tuple[HouseRegion, ...]
    remarks: tuple[str, ...]


def find_scans(scans: Path, chosen: Sequence[str] | None = None) -> list[str]:
    """Names of the scans' folders, sorted, or those chosen.  Raises ValueError where there are none of them."""
    if not scans.is_dir():
        raise ValueError(f"{scans}: expected the folder of Matterport3D scans (v1/scans), found no folder")
    names = sorted(entry.name for entry in scans.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise ValueError(f"{scans}: expected folders of scans (17DRP5sb8fy, ...), found none; name the folder v1/scans")
    unknown = sorted(set(chosen or ()) - set(names))
    if unknown:
        raise ValueError(f"{scans}: expected the folders of {', '.join(unknown)}, found none; check --scene")
    return sorted(set(chosen)) if chosen else names


def scan_models(folder: Path, part: Part, splits: OfficialSplits, drawing: Drawing) -> list[PreparedModel]:
    """The models of one scan: <id>, or <id>_floor0, ... from the lowest up, or <id>_region0, ...

    Raises ValueError where the folder does not hold what the part needs.
    """
    if part == "building":
        return [_model(folder, "", splits, drawing, partial(_read_building, folder), part)]
    if part == "regions":
        numbers = list(find_regions(folder))
        if not numbers:
            raise ValueError(
                f"{folder}: expected region_segmentations (a folder or .zip) with region0.ply, ..., found none; "
                "download them, or choose --part building"
            )
        return [
            _model(folder, f"_region{number}", splits, drawing, partial(_read_region, folder, number), part)
            for number in numbers
        ]
    layout = find_floors(folder)
    return [
        _model(folder, f"_floor{index}", splits, drawing, partial(_read_floor, folder, layout, index), part=part)
        for index in range(len(layout.floors))
    ]


def _model(
    folder: Path, suffix: str, splits: OfficialSplits, drawing: Drawing, load: Callable[[], Surface], part: Part
) -> PreparedModel:
    origin = {"kind": "Matterport3D", "part": part}
    return PreparedModel(folder.name + suffix, splits.split(folder.name), drawing, load, origin)


def _read_building(folder: Path) -> Surface:
    return Surface(_shape(read_matterport(folder)))


def _read_region(folder: Path, number: int) -> Surface:
    return Surface(_shape(read_regions(folder, [number])))


def _read_floor(folder: Path, layout: FloorLayout, index: int) -> Surface:
    """The regions of a floor where they are there as files; else the faces of the house that lie nearest to them."""
    available = find_regions(folder)
    if available:
        numbers = [region.number for region in layout.floors[index]]
        missing = ", ".join(str(number) for number in numbers if number not in available)
        if missing:
            raise ValueError(
                f"{folder}: expected region_segmentations with all regions of floor {index}, found none for {missing}; "
                "download them again"
            )
        return Surface(_shape(read_regions(folder, numbers)), remarks=layout.remarks)
    house = read_matterport(folder)
    groups = (*layout.floors, layout.without)
    regions = [region for group in groups for region in group]
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    nearest = nearest_region(house.vertices[house.faces].mean(axis=1), regions)
    kept = group_of[nearest] == index
    if not kept.any():
        raise ValueError(f"{folder}: expected faces of the house on floor {index}, found none; choose --part building")
    return Surface(Mesh(house.vertices, house.faces[kept]), remarks=layout.remarks)


def _shape(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces)


def nearest_region(points: np.ndarray, regions: Sequence[HouseRegion]) -> np.ndarray:
    """(N,) index of the region whose box is nearest to each of (N, 3) points; in several boxes, the smallest."""
    order = sorted(range(len(regions)), key=lambda index: float(np.ptp(regions[index].bounds_m, axis=0).prod()))
    best = np.full(len(points), np.inf)
    nearest = np.zeros(len(points), dtype=np.int64)
    for index in order:
        low, high = regions[index].bounds_m
        beyond = np.maximum(np.maximum(low - points, points - high), 0.0)  # (N, 3)
        distance = (beyond**2).sum(axis=1)
        closer = distance < best
        best[closer], nearest[closer] = distance[closer], index
    return nearest


def find_floors(folder: Path) -> FloorLayout:
    """What the .house file says of floors; where its regions have no levels, floors by the heights of the regions.

    Raises ValueError where the scan has no .house file, or one without regions.
    """
    source = find_house_file(folder)
    if source is None:
        raise ValueError(
            f"{folder}: expected house_segmentations/{folder.name}.house, which says what lies on which floor, found "
            "none; download house_segmentations, or choose --part building or --part regions"
        )
    path, read = source
    regions = parse_house(path, read())
    if not regions:
        raise unreadable(path, "lines 'R ...' of regions", "none")
    levels = sorted({region.level for region in regions if region.level >= 0})
    if not levels:
        return FloorLayout(_floors_by_height(regions), (), (LEVELS_GUESSED,))
    without = tuple(region for region in regions if region.level < 0)
    if without:
        logger.info("%s: %d regions on no level are left out", folder.name, len(without))
    floors = [tuple(region for region in regions if region.level == level) for level in levels]
    floors.sort(key=lambda floor: float(np.median([region.bounds_m[0, 2] for region in floor])))
    return FloorLayout(tuple(floors), without, (REGIONS_LEFT_OUT,) if without else ())


def _floors_by_height(regions: Sequence[HouseRegion]) -> tuple[tuple[HouseRegion, ...], ...]:
    heights_m = np.array([region.bounds_m[0, 2] for region in regions])
    order = np.argsort(heights_m, kind="stable")
    floor = np.zeros(len(regions), dtype=np.int64)
    floor[order[1:]] = np.cumsum(np.diff(heights_m[order]) > _FLOOR_GAP_M)
    return tuple(
        tuple(region for region, at in zip(regions, floor, strict=True) if at == index)
        for index in range(floor.max() + 1)
    )


def parse_house(path: Path, content: bytes) -> list[HouseRegion]:
    """The regions of a .house file, in its order; path: for messages only.  Raises ValueError for another format."""
    lines = content.splitlines()
    if not lines or not lines[0].startswith(b"ASCII"):
        raise unreadable(path, "a .house file (first line 'ASCII 1.1')", repr(lines[0][:40]) if lines else "nothing")
    regions = []
    for line in lines:
        words = line.split()
        if not words or words[0] != b"R":
            continue
        try:
            number, level = int(words[1]), int(words[2])
            bounds_m = np.array([float(word) for word in words[9:15]]).reshape(2, 3)
        except (ValueError, IndexError) as error:
            raise unreadable(path, "lines 'R region level 0 0 label' and nine coordinates", repr(line[:80])) from error
        if not np.isfinite(bounds_m).all():
            raise unreadable(path, "finite boxes of regions", repr(line[:80]))
        regions.append(HouseRegion(number, level, bounds_m))
    return regions
