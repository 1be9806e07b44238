"""The unit of length that a LAS file declares: by WKT, or by GeoTIFF keys, in its variable records.

Records: LAS 1.4 specification R15, 3; keys: GeoTIFF 1.0, 6.2 and 6.3.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.las_records import variable_records
from sparse_convonet.runtime.refusals import installation, one_line
from sparse_convonet.structures import LengthUnit

_USER, _WKT, _KEYS, _DOUBLES = "LASF_Projection", 2112, 34735, 34736
_MODEL, _GEOGRAPHIC_CODE, _PROJECTED_CODE, _UNIT, _UNIT_SIZE = 1024, 2048, 3072, 3076, 3077
_VERTICAL_CODE, _VERTICAL_UNIT = 4096, 4099
_IS_GEOGRAPHIC, _OWN = 2, 32767  # values: of the model's key; of a code that the file defines itself
_DEGREES = LengthUnit("degrees", math.nan)
_LARGEST_ANGLE = 400.0  # gons; larger coordinates are no angles, whatever the file says
_ALIKE = 1e-5  # two units that differ by less, as the feet do, make no difference to heights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LasUnits:
    """across: of x and y.  height_factor: takes z to the same unit."""

    across: LengthUnit
    height_factor: float = 1.0


def declared_units(path: Path, largest: float) -> LasUnits | None:
    """What the file says of its units; None where it says nothing that can be understood, which is logged.

    path: of a file whose header was checked.  largest: coordinate of x and y, by which angles are told from lengths.
    """
    records = _projection_records(path)
    if not records.keys() & {_WKT, _KEYS}:
        return None
    if importlib.util.find_spec("pyproj") is None:
        logger.warning("%s: its units are not read, for lack of pyproj; %s", path, installation("las"))
        return None
    wkt = _wkt(records)
    across, up = _of_wkt(wkt) if wkt else _of_keys(records.get(_KEYS, b""), records.get(_DOUBLES, b""))
    if across is None:
        logger.warning("%s: what it says of its coordinate system tells no unit: %s", path, one_line(wkt, 80) or "keys")
        return None
    if math.isnan(across.metres):
        if largest > _LARGEST_ANGLE:
            logger.warning("%s: declares degrees, though coordinates reach %.0f: taken for lengths", path, largest)
            return None
        return LasUnits(across)
    factor = 1.0 if up is None else up.metres / across.metres
    if up is None or abs(factor - 1) < _ALIKE:
        return LasUnits(across)
    logger.warning(
        "%s: heights are in %s, x and y in %s: heights are read in %s", path, up.name, across.name, across.name
    )
    return LasUnits(across, factor)


def declared_system(path: Path) -> Any:
    """pyproj's CRS that the file names by WKT or by EPSG codes; None where it names none, or it is no LAS file."""
    with path.open("rb") as file:
        if file.read(4) != b"LASF":
            return None  # its reader says so
    records = _projection_records(path)
    wkt = _wkt(records)
    if wkt:
        return _parsed(wkt) or _parsed(wkt[: _end_of_group(wkt)])
    keys = _keys_at(0, records.get(_KEYS, b""))
    code = keys.get(_PROJECTED_CODE) or keys.get(_GEOGRAPHIC_CODE)
    return None if code in (None, 0, _OWN) else _parsed(int(code or 0))


def _projection_records(path: Path) -> dict[int, bytes]:
    """Those that tell the coordinate system, by their numbers."""
    return {number: content for user, number, content in variable_records(path) if user == _USER}


def _wkt(records: dict[int, bytes]) -> str:
    return records.get(_WKT, b"").split(b"\0")[0].decode("utf-8", errors="replace").strip()


def _keys_at(place: int, directory: bytes) -> dict[int, int]:
    """The values of the GeoTIFF keys whose value stands at a place: 0 in the directory itself, else a record's number."""
    numbers = np.frombuffer(directory[: len(directory) // 8 * 8], "<u2").reshape(-1, 4)[1:].tolist()
    return {key: value for key, at, _, value in numbers if at == place}


def _of_wkt(text: str) -> tuple[LengthUnit | None, LengthUnit | None]:
    """(of x and y, of z), None where one is not said."""
    crs = _parsed(text)
    if crs is not None:
        return _of_axes(crs)
    # Some writers put the vertical system beside the horizontal one instead of joining them.
    first = _parsed(text[: _end_of_group(text)])
    factors = re.findall(r'UNIT\[\s*"([^"]*)"\s*,\s*([0-9.eE+-]+)', text[_end_of_group(text) :])
    up = LengthUnit(factors[-1][0], float(factors[-1][1])) if factors else None
    return (None, None) if first is None else (_of_axes(first)[0], up)


def _end_of_group(text: str) -> int:
    """Where the first bracket closes."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "]" and depth == 0:
            return place + 1
    return len(text)


def _parsed(given: str | int) -> Any:
    """pyproj's CRS of a text or an EPSG code, None where it is not one."""
    pyproj = importlib.import_module("pyproj")
    try:
        return pyproj.CRS.from_user_input(given)
    except pyproj.exceptions.ProjError:
        return None


def _of_axes(crs: Any) -> tuple[LengthUnit | None, LengthUnit | None]:
    """(of x and y, of z) of a pyproj CRS."""
    axes = _axes(crs)
    if len(axes) == 1:
        return None, _unit(axes[0])
    if crs.is_geographic:
        return _DEGREES, None
    return (_unit(axes[0]) if axes else None), (_unit(axes[2]) if len(axes) > 2 else None)


def _axes(crs: Any) -> list[Any]:
    if crs.is_bound and crs.source_crs is not None:
        return _axes(crs.source_crs)
    if crs.sub_crs_list:
        return [axis for part in crs.sub_crs_list for axis in _axes(part)]
    return list(crs.axis_info)


def _unit(axis: Any) -> LengthUnit | None:
    metres = float(axis.unit_conversion_factor)
    return LengthUnit(str(axis.unit_name), metres) if math.isfinite(metres) and metres > 0 else None


def _of_keys(directory: bytes, doubles: bytes) -> tuple[LengthUnit | None, LengthUnit | None]:
    """As _of_wkt, from GeoTIFF's directory of keys, four numbers each, and the doubles that some of them name."""
    keys, places = _keys_at(0, directory), _keys_at(_DOUBLES, directory)
    up = _by_code(keys.get(_VERTICAL_UNIT)) or _of_system(keys.get(_VERTICAL_CODE))[1]
    across = _by_code(keys.get(_UNIT)) or _of_system(keys.get(_PROJECTED_CODE))[0]
    if keys.get(_UNIT) == _OWN and _UNIT_SIZE in places and 8 * (places[_UNIT_SIZE] + 1) <= len(doubles):
        (metres,) = struct.unpack_from("<d", doubles, 8 * places[_UNIT_SIZE])
        across = LengthUnit(f"units of {metres:g} m", metres) if math.isfinite(metres) and metres > 0 else None
    is_geographic = keys.get(_MODEL) == _IS_GEOGRAPHIC or (_GEOGRAPHIC_CODE in keys and _MODEL not in keys)
    return (_DEGREES if across is None and is_geographic else across), up


def _of_system(code: int | None) -> tuple[LengthUnit | None, LengthUnit | None]:
    crs = None if code in (None, 0, _OWN) else _parsed(int(code or 0))
    return (None, None) if crs is None else _of_axes(crs)


def _by_code(code: int | None) -> LengthUnit | None:
    """The unit of an EPSG code, as 9001 (metre), 9002 (foot) or 9003 (US survey foot)."""
    units = importlib.import_module("pyproj").database.get_units_map(category="linear")
    found = next((unit for unit in units.values() if unit.code == str(code)), None)
    return None if found is None else LengthUnit(found.name, float(found.conv_factor))
