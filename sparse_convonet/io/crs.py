"""The coordinate system in which a scan stands: what LAS and E57 files declare, as WKT, and what follows (pyproj)."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.e57 import coordinate_metadata
from sparse_convonet.io.las_units import declared_system
from sparse_convonet.runtime.refusals import one_line, require_package

ToEarth = Callable[[np.ndarray], np.ndarray]
_EARTH = "EPSG:4978"  # geocentric, metres from the middle of the Earth: ECEF

logger = logging.getLogger(__name__)


def crs_of(paths: Sequence[Path], asked: str | None = None) -> str | None:
    """WKT of the system that the files of a scan declare, or of the one that is asked for ("EPSG:25832", WKT, PROJ).

    None where no file says one that can be understood.  Raises ValueError where they say different ones, and for what is
    asked for and is none.
    """
    if asked is not None:
        pyproj = require_package("pyproj", "las", "--crs")
        try:
            system = pyproj.CRS.from_user_input(asked)
        except pyproj.exceptions.CRSError as error:
            raise ValueError(
                f"--crs: expected a coordinate system such as EPSG:25832, found {asked!r}, which PROJ does not know; "
                "look its code up at epsg.io, or leave it away"
            ) from error
        if system.is_geographic:
            raise ValueError(
                f"--crs: expected a system in units of length, found {system.name}, which is in degrees; name the "
                "projected system of the scan, such as EPSG:25832"
            )
        return str(system.to_wkt())
    found: list[tuple[Path, Any]] = []
    for path in paths:
        system = _declared(path)
        if system is not None:
            found.append((path, system))
    for path, system in found[1:]:
        if not system.equals(found[0][1], ignore_axis_order=True):
            raise ValueError(
                f"{path}: expected the coordinate system of {found[0][0].name}, {found[0][1].name}, found {system.name}; "
                "convert the files to one, or say --crs if they are in one after all"
            )
    return str(found[0][1].to_wkt()) if found else None


def unit_of(wkt: str) -> float | None:
    """Metres in a unit of x and y; None of systems that have no axes of length."""
    axes = _level(importlib.import_module("pyproj").CRS.from_user_input(wkt)).axis_info
    return float(axes[0].unit_conversion_factor) if axes and axes[0].unit_name != "degree" else None


def name_of(wkt: str) -> str:
    """What the system is called."""
    return str(importlib.import_module("pyproj").CRS.from_user_input(wkt).name)


def prj_of(wkt: str) -> str:
    """The level part of the system as GIS programs read it from a .prj beside a file: WKT of ESRI's kind, one line.

    Where it cannot be said so, WKT of ISO 19162.
    """
    pyproj = importlib.import_module("pyproj")
    system = _level(pyproj.CRS.from_user_input(wkt))
    try:
        return str(system.to_wkt("WKT1_ESRI"))
    except pyproj.exceptions.CRSError:
        return str(system.to_wkt())


def to_earth(wkt: str, metres_per_unit: float) -> ToEarth | None:
    """What takes places (N, 3) in metres, east, north and up along the axes of a projected system, to metres from the
    middle of the Earth (EPSG:4978).

    Heights are taken to be above the ellipsoid.  None for systems that are not projected.
    """
    pyproj = importlib.import_module("pyproj")
    system = _level(pyproj.CRS.from_user_input(wkt))
    if not system.is_projected:
        return None
    move = pyproj.Transformer.from_crs(system.to_3d(), _EARTH, always_xy=True)

    def moved(places: np.ndarray) -> np.ndarray:
        level = np.asarray(places, dtype=np.float64)[:, :2] / metres_per_unit
        return np.stack(move.transform(level[:, 0], level[:, 1], np.asarray(places)[:, 2]), axis=1)

    return moved


def _level(system: Any) -> Any:
    """Of a system with heights that of x and y."""
    if system.is_bound and system.source_crs is not None:
        return _level(system.source_crs)
    parts = [part for part in system.sub_crs_list if not part.is_vertical]
    return _level(parts[0]) if parts else system.to_2d()


def _declared(path: Path) -> Any:
    suffix = path.suffix.lower()
    if not path.is_file() or importlib.util.find_spec("pyproj") is None:
        return None
    if suffix in (".las", ".laz"):
        return declared_system(path)
    return _of_e57(path) if suffix == ".e57" else None


def _of_e57(path: Path) -> Any:
    text = coordinate_metadata(path)
    pyproj = importlib.import_module("pyproj")
    try:
        return pyproj.CRS.from_user_input(text) if text.strip() else None
    except pyproj.exceptions.ProjError:
        logger.warning("%s: what it says of its coordinate system is not understood: %s", path, one_line(text, 80))
        return None
