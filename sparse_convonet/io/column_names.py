"""What the names of columns mean, as scanners, CloudCompare, ParaView, VeloView, PDAL and lidR write them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from sparse_convonet.structures import LengthUnit

POSITION, COLOUR, NORMAL = ("x", "y", "z"), ("red", "green", "blue"), ("nx", "ny", "nz")
SKIPPED = "-"  # of a user who names columns: one that is left out

_UNITS = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "mm": 0.001, "cm": 0.01, "ft": 0.3048,
    "feet": 0.3048, "foot": 0.3048, "in": 0.0254, "inch": 0.0254, "inches": 0.0254, "ftus": 1200 / 3937,
    "usft": 1200 / 3937, "us ft": 1200 / 3937, "us-ft": 1200 / 3937, "us survey feet": 1200 / 3937,
    "us survey foot": 1200 / 3937, "deg": math.nan, "degree": math.nan, "degrees": math.nan, "rad": math.nan,
}  # fmt: skip
_UNIT = "|".join(_UNITS)
_STEM = r"(?:points?|pos|positions?|coords?|coordinates?|cartesian|loc|location|vertex|world|global|local|utm|p)"
# Each a way of naming three columns that belong together, the first one first; a group holds the axis.
_POSITIONS = (
    r"([xyz])",
    rf"([xyz])[_ .-]?(?:{_UNIT}|coords?|coordinates?|pos|position|axis|value|world|utm)",
    rf"{_STEM}[_ .:-]?([xyz])(?:[_ ](?:{_UNIT}))?",
    rf"{_STEM}(?:_(?:{_UNIT}))?(?:_xyz)?[:_ .]?([012])",
    r"(e|n|h)",
    r"(east(?:ing)?|north(?:ing)?|up|height|elev(?:ation)?|alt(?:itude)?)",
)
_COLOURS = (
    r"(red|green|blue)",
    r"([rgb])",
    r"([rgb])f",  # fractions, of CloudCompare
    r"(?:diffuse|colou?rs?|scalar|vertex|rgb)[_ .:]?(red|green|blue|[rgb])",
    r"colou?r(red|green|blue)",
    r"(?:colou?rs?|rgb|rgba)[_ .:]([012])",
    r"(red|green|blue)[_ .](?:8|16|u8|u16|channel|value)",
)
_NORMALS = (r"n[_ .]?([xyz])", r"normals?[_ .:]?([xyz])", r"(?:normals?|normal_vector)[_ .:]([012])")
_AXIS_OF = {
    "x": 0, "e": 0, "r": 0, "0": 0, "red": 0, "east": 0, "easting": 0, "y": 1, "n": 1, "g": 1, "1": 1, "green": 1,
    "north": 1, "northing": 1, "z": 2, "h": 2, "b": 2, "2": 2, "blue": 2, "up": 2, "height": 2, "elev": 2,
    "elevation": 2, "alt": 2, "altitude": 2,
}  # fmt: skip


def plain_name(name: str) -> str:
    """A name in small letters, without quotes, slashes and what stands in brackets: ' //X [m]' and '"x(m)"' name x."""
    return re.sub(r"[\[(][^\])]*[\])]", "", name.lower()).strip("\"'/# \t\ufeff")


def known_names(names: Sequence[str]) -> list[str]:
    """For each column what it is, of POSITION, COLOUR and NORMAL, or '' where it is something else.

    Of several triples of one meaning that which has the plainest names counts.
    """
    plain, found = [plain_name(name) for name in names], [""] * len(names)
    for wanted, ways in ((POSITION, _POSITIONS), (COLOUR, _COLOURS), (NORMAL, _NORMALS)):
        for way in ways:
            places: dict[int, int] = {}  # by axis
            for place, name in enumerate(plain):
                match = re.fullmatch(way, name)
                if match and not found[place]:
                    places.setdefault(_AXIS_OF[match[1]], place)
            if len(places) == 3:
                for axis, place in places.items():
                    found[place] = wanted[axis]
                break
    return found


def declared_unit(names: Sequence[str]) -> LengthUnit | None:
    """The unit that the names of the columns x, y and z end with: 'X_m', 'x [mm]', 'x(ft)'.

    One of no length in metres, which is refused later, where they are angles, or differ.
    """
    found: dict[str, float] = {}
    for name, known in zip(names, known_names(names), strict=True):
        ending = re.search(rf"(?:[\[(]\s*|_)({_UNIT})(?:\s*[\])])?[\"'\s]*$", name.lower())
        if known in POSITION and ending is not None:
            found[ending[1]] = _UNITS[ending[1]]
    if not found:
        return None
    return LengthUnit(" and ".join(found), found.popitem()[1] if len(set(found.values())) == 1 else math.nan)


def chosen_names(asked: Sequence[str]) -> list[str]:
    """As known_names, for what a user says of a table without names: 'x,y,z,r,g,b,-'.

    Raises ValueError where x, y and z are not all among them, or a name is none of those that mean something.
    """
    found = known_names(asked)
    strange = [name for name, known in zip(asked, found, strict=True) if not known and name != SKIPPED]
    if strange or not set(POSITION) <= set(found):
        raise ValueError(
            f"--columns: expected x, y and z, perhaps r, g, b and nx, ny, nz, and {SKIPPED} for what is left out, "
            f"found {','.join(asked)}; say it for example as x,y,z,{SKIPPED},r,g,b"
        )
    return found
