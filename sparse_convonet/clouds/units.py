"""Whether the numbers of a scan can be right: how many metres its unit is, and how finely it was written."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sparse_convonet.clouds.summary import SCALES, CloudSummary
from sparse_convonet.structures import LengthUnit

_FINE_M = 0.02  # half the smallest usual voxel: what is finer does not matter
_SPACINGS = 2.0  # a step of so many distances between points is not how they were thinned
_VOXEL_SHARE = 0.5  # of a voxel that was asked for, up to which a step does not matter


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


def likely_metres(asked: float | None, unit: LengthUnit | None) -> float:
    """Metres per unit before anything is known of the points: as asked, as their file declares, or 1."""
    declared = 1.0 if unit is None or not math.isfinite(unit.metres) else unit.metres
    return declared if asked is None else asked


def require_scale(asked: float | None) -> None:
    """Raise ValueError for a scale that is no length; None is not asked for."""
    if asked is not None and not (math.isfinite(asked) and asked > 0):
        raise ValueError(
            f"scale: expected a positive number (metres per unit of the scan), found {asked:g}; 0.001 is for mm"
        )


def metres_per_unit(summary: CloudSummary, asked: float | None, option: str = "--scale {:g}") -> float:
    """The scale of a scan.  asked: by the user, None where the files or their size are to tell.  option: how to ask.

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
            f"project it to metres (pdal translate --filter reprojection), or name the metres in a unit: {option.format(1)}"
        )
    if summary.units_declared or summary.suggested_scale == 1.0:
        return summary.suggested_scale
    others = ", ".join(f"{scale:g} for {name}" for name, scale in SCALES.items() if name != summary.units)
    raise ValueError(
        f"scan: expected metres, found an extent of {extent}, which looks like {summary.units}; run again with "
        f"{option.format(summary.suggested_scale)} ({others}), or with {option.format(1)} if these are metres"
    )


def require_fine_steps(summary: CloudSummary, scale: float, repeats: int, voxel_size_m: float | None) -> None:
    """Raise ValueError where a scan's coordinates were rounded to much more than its points are apart.

    repeats: points that were dropped since they repeat others, which is what rounding makes of near ones.
    voxel_size_m: asked for; None: not asked.
    """
    step_m = summary.step * scale
    spacing = summary.spacing * math.sqrt(summary.points / (summary.points + repeats))
    allowed_m = _FINE_M if voxel_size_m is None else max(_FINE_M, _VOXEL_SHARE * voxel_size_m)
    if step_m > allowed_m and summary.step > _SPACINGS * spacing:
        raise ValueError(
            f"scan: expected coordinates as fine as the points, found steps of {step_m:g} m between points "
            f"{spacing * scale:.2g} m apart, as floats and few digits leave of large coordinates; export doubles or more "
            f"digits, shift the origin before, or take voxels of {2 * step_m:g} m or more with --voxel-size"
        )
