"""How many metres a unit of a scan is: as asked, as its files declare, or metres, where its size does not say otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sparse_convonet.clouds.summary import CloudSummary
from sparse_convonet.structures import LengthUnit


def common_unit(units: Iterable[LengthUnit | None]) -> LengthUnit | None:
    """The unit that several files declare, None where none does; one of no length in metres where they differ.

    A file that declares nothing goes with the others where those are in metres.
    """
    given = list(units)
    declared = {unit.metres: unit for unit in given if unit is not None}
    if len(declared) > 1 or (None in given and any(metres != 1 for metres in declared)):
        names = [unit.name for unit in declared.values()] + ["an undeclared unit"] * (None in given)
        return LengthUnit(" and ".join(names), math.nan)
    return next(iter(declared.values()), None)


def require_scale(asked: float | None) -> None:
    """Raise ValueError for a scale that is no length; None is not asked for."""
    if asked is not None and not (math.isfinite(asked) and asked > 0):
        raise ValueError(f"scale: expected a positive number (metres per unit of the scan), found {asked:g}")


def metres_per_unit(summary: CloudSummary, asked: float | None) -> float:
    """The scale of a scan.  asked: by the user, None where the files or their size are to tell.

    Raises ValueError where it was asked for and is no length, where files declare none (degrees, or different ones), and
    where they declare nothing and the size is hardly in metres.
    """
    require_scale(asked)
    if asked is not None:
        return asked
    extent = " x ".join(f"{value:.4g}" for value in summary.extent)
    if not math.isfinite(summary.suggested_scale):
        raise ValueError(
            f"scan: expected one unit of length, found an extent of {extent} in {summary.units}, as its files declare; "
            "project it to metres (pdal translate --filter reprojection), or name the metres in a unit with --scale"
        )
    if summary.units_declared or summary.suggested_scale == 1.0:
        return summary.suggested_scale
    raise ValueError(
        f"scan: expected metres, found an extent of {extent}, which looks like {summary.units}; "
        f"run again with --scale {summary.suggested_scale:g}, or with --scale 1 if these are metres"
    )
