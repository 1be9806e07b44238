"""Stage report: what a survey of a data set found, as numbers for a file and as lines to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.convonet.survey import GroupSurvey
from sparse_convonet.runtime.refusals import without_breaks

_BROKEN_NAMED = 5
_WIDTH = 22


@dataclass(frozen=True)
class GroupSummary:
    """One class and split.  Pairs are the least and the largest of the models that were read; None: not known.

    extent: lengths in x, y, z, and x, y, z of the world where metric models are: medians.  density: points per square
    unit or metre, and noise across the surface: medians.  step: of stored coordinates.  occupied: least, mean, largest
    share of queries.  labels, query_labels: share of each semantic class, of points and of queries inside.
    """

    category: str
    name: str
    split: str | None
    listed: int
    present: int
    with_occupancy: int
    read: int
    measured: int
    broken: tuple[tuple[str, str], ...]
    metric: int
    surface_files: tuple[int, int] | None
    occupancy_files: tuple[int, int] | None
    points: tuple[int, int] | None
    point_types: tuple[str, ...]
    queries: tuple[int, int] | None
    query_types: tuple[str, ...]
    extent_unit: tuple[float, ...] | None
    extent_m: tuple[float, ...] | None
    density_unit: float | None
    density_m2: float | None
    noise_unit: float | None
    noise_m: float | None
    step_unit: float | None
    step_m: float | None
    normal_length: tuple[float, float] | None
    occupied: tuple[float, float, float] | None
    labels: Mapping[int, float]
    query_labels: Mapping[int, float]


def summarise(survey: GroupSurvey, names: Mapping[str, str]) -> GroupSummary:
    """names: readable names of the classes, as far as there are any."""
    measures = survey.measures
    metric = [each for each in measures if each.frame is not None]
    extents = [np.ptp(each.bounds_unit, axis=0) for each in measures]
    scales = [each.frame.metres_per_unit for each in metric if each.frame]
    extents_m = [np.ptp(each.frame.to_world(each.bounds_unit), axis=0) for each in metric if each.frame]
    lengths = [length for each in measures for length in each.normal_lengths or ()]
    occupied = [each.occupied for each in measures if each.occupied is not None]
    pairs = list(zip(metric, scales, strict=True))
    return GroupSummary(
        category=survey.group.category,
        name=names.get(survey.group.category, survey.group.category),
        split=survey.group.split,
        listed=len(survey.group.models),
        present=survey.present,
        with_occupancy=survey.with_occupancy,
        read=survey.checked,
        measured=len(measures),
        broken=survey.broken,
        metric=len(metric),
        surface_files=_range([each.files[0] for each in measures]),
        occupancy_files=_range([each.files[1] for each in measures]),
        points=_range([each.points for each in measures]),
        point_types=tuple(sorted({each.point_type for each in measures})),
        queries=_range([each.queries for each in measures if each.queries is not None]),
        query_types=tuple(sorted({each.query_type for each in measures if each.query_type is not None})),
        extent_unit=tuple(np.median(extents, axis=0).tolist()) if extents else None,
        extent_m=tuple(np.median(np.abs(extents_m), axis=0).tolist()) if extents_m else None,
        density_unit=_median([each.density for each in measures]),
        density_m2=_median([each.density / scale**2 for each, scale in pairs]),
        noise_unit=_median([each.noise for each in measures]),
        noise_m=_median([each.noise * scale for each, scale in pairs]),
        step_unit=_median([each.step for each in measures]),
        step_m=_median([each.step * scale for each, scale in pairs]),
        normal_length=(min(lengths), max(lengths)) if lengths else None,
        occupied=(min(occupied), float(np.mean(occupied)), max(occupied)) if occupied else None,
        labels=_shares([each.labels for each in measures]),
        query_labels=_shares([each.query_labels for each in measures]),
    )


def _range(values: list[int]) -> tuple[int, int] | None:
    return (min(values), max(values)) if values else None


def _median(values: list[float]) -> float | None:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.median(finite)) if finite else None


def _shares(counts: Sequence[Mapping[int, int]]) -> dict[int, float]:
    """Share of each label, of all points that have one."""
    total = sum(sum(each.values()) for each in counts)
    labels = sorted({label for each in counts for label in each})
    return {label: sum(each.get(label, 0) for each in counts) / total for label in labels}


def survey_lines(summary: GroupSummary, label_names: Mapping[int, str]) -> list[str]:
    """A heading and a line for whatever is known."""
    name = "" if summary.name == summary.category else f" ({summary.name})"
    heading = f"{summary.category}{name}, {summary.split or 'no list'}: {_plural(summary.listed, 'model')}"
    broken = len(summary.broken)
    counts = [f"{summary.present} present", f"{summary.with_occupancy} with occupancy", f"{broken} broken"]
    lines = [heading, _line("models", ", ".join(counts) + f"; {summary.read} read and measured")]
    lines += [f"    {without_breaks(reason)}" for _, reason in summary.broken[:_BROKEN_NAMED]]
    if broken > _BROKEN_NAMED:
        lines.append(f"    ... and {broken - _BROKEN_NAMED} more")
    if summary.points is None:
        return lines
    lines.append(_line("surface", _files(summary.surface_files, summary.points, "points", summary.point_types)))
    if summary.queries is not None:
        described = _files(summary.occupancy_files, summary.queries, "queries", summary.query_types)
        lines.append(_line("occupancy", described))
    if summary.extent_unit is not None:
        lines.append(_line("extent", _lengths(summary.extent_unit, 3) + " of the cube, x y z, y up (median)"))
    if summary.extent_m is not None:
        of = "" if summary.metric == summary.measured else f", of {summary.metric} models with frame.json"
        lines.append(_line("", _lengths(summary.extent_m, 2) + f" m in the world, z up{of}"))
    metres = summary.density_m2 is not None
    if summary.density_unit is not None:
        density = f"{summary.density_unit:,.0f} points per square unit"
        density += f", {summary.density_m2:,.0f} per m2" if metres else ""
        lines.append(_line("density", density + ", by the 8th nearest neighbour"))
    for title, unit, in_metres, remark in (
        ("noise", summary.noise_unit, summary.noise_m, "across the flattest quarter of the surface"),
        ("step", summary.step_unit, summary.step_m, "between values that coordinates can take"),
    ):
        if unit is not None and not (title == "step" and unit == 0):
            length = f"{unit:.2g} of the cube" + (f", {in_metres * 1000:.2g} mm" if in_metres is not None else "")
            lines.append(_line(title, f"{length}, {remark}"))
    low, high = summary.normal_length or (0.0, 0.0)
    lines.append(_line("normals", f"{low:.4f} to {high:.4f} long" if summary.normal_length else "none"))
    if summary.occupied is not None:
        low, mean, high = (100 * share for share in summary.occupied)
        lines.append(_line("inside", f"{mean:.1f} % of the queries on average, {low:.1f} to {high:.1f} %"))
    for title, labels in (("classes of points", summary.labels), ("classes inside", summary.query_labels)):
        if labels:
            lines.append(_line(title, _histogram(labels, label_names)))
    return lines


def _line(title: str, text: str) -> str:
    return f"  {title:<{_WIDTH}}{text}"


def _files(files: tuple[int, int] | None, rows: tuple[int, int], what: str, types: Sequence[str]) -> str:
    low, high = files or (0, 0)
    number = _plural(low, "file") if low == high else f"{low} to {high} files"
    count = f"{rows[0]:,}" if rows[0] == rows[1] else f"{rows[0]:,} to {rows[1]:,}"
    return f"{number} per model, {count} {what} per file, {' and '.join(types)}"


def _lengths(lengths: Sequence[float], digits: int) -> str:
    return " x ".join(f"{length:.{digits}f}" for length in lengths)


def _histogram(shares: Mapping[int, float], names: Mapping[int, str]) -> str:
    listed = [f"{names.get(label, str(label))} {100 * share:.1f} %" for label, share in shares.items()]
    return ", ".join(listed[:12]) + (f", ... {len(listed)} in all" if len(listed) > 12 else "")


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
