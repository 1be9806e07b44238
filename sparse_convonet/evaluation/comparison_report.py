"""The pictures of a comparison, and the one page that collects them with the tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np

from sparse_convonet.evaluation.comparison import ENCODE, FAILURES, MEMORY, MESH, ComparisonRow, cells, columns
from sparse_convonet.evaluation.growth import GrowthPoint
from sparse_convonet.evaluation.runs import prediction_of
from sparse_convonet.evaluation.scenes import Known
from sparse_convonet.report.charts import Curve, write_bars, write_curves
from sparse_convonet.report.comparison_page import PageSection, write_page
from sparse_convonet.report.reconstruction_page import ReconstructionPage, write_reconstruction_page
from sparse_convonet.report.side_by_side import Entry, write_side_by_side
from sparse_convonet.report.views_page import View, write_views_page
from sparse_convonet.structures import Mesh

_LARGEST_ERROR_SHARE = 0.02  # of the unit cube
_LARGEST_ERROR_VOXELS = 2.0
_VIEWS_FOLDER = "views"
_VIEW_FACES, _VIEW_BYTES = 500_000, 12_000_000  # of each; several are open at once
_BARS = ("IoU", "F ", "Chamfer-L1 x10", "Chamfer-L1 cm", "points within 1 cell", ENCODE, MESH, MEMORY)
_SCORE_TEXTS = ("IoU", "F 1 %", "F 5 cm", "points within 1 voxel %")


@dataclass(frozen=True)
class DrawnScenes:
    """pictures: PNG files; views: pages to look around in.  Both with their captions."""

    pictures: list[tuple[Path, str]] = field(default_factory=list)
    views: list[tuple[Path, str]] = field(default_factory=list)


def draw_scenes(
    out: Path,
    runs: Mapping[str, Path],
    scenes: Sequence[Path],
    known: Sequence[Known],
    scores: Mapping[str, ComparisonRow],
) -> DrawnScenes:
    """One PNG per scene: the truth where it is a mesh, and what each run made of it; of scenes in metres also a page.

    runs: folders, by method.
    """
    drawn = DrawnScenes()
    for path, (scene, truth) in zip(scenes, known, strict=True):
        entries = [] if truth.mesh is None else [Entry("truth", truth.mesh, "", None)]
        for name, folder in runs.items():
            prediction = prediction_of(path, folder)
            if prediction is None:
                continue
            mesh = prediction.mesh
            own = scores[name].values if scores[name].scenes == 1 else truth.score(prediction)
            texts = [f"{key} {own[key]:.3g}" for key in _SCORE_TEXTS if own.get(key) is not None]
            entries.append(
                Entry(name, mesh, ", ".join(texts), truth.errors(mesh.vertices) if len(mesh.faces) else None)
            )
        if not entries:
            continue
        metric = scene.voxel_size_m is not None or (scene.unit_frame and scene.unit_frame.metres_per_unit != 1)
        largest = _LARGEST_ERROR_VOXELS * scene.voxel_size_m if scene.voxel_size_m else _LARGEST_ERROR_SHARE
        name = f"{_file_name(scene.category)}_{_file_name(scene.name)}"
        target = out / f"scene_{name}.png"
        title = f"{scene.category} / {scene.name}: {len(scene.points_world):,} points"
        write_side_by_side(
            target, title, entries,
            largest_error=largest, unit="m" if metric else "of the cube", error_name=truth.error_name,
        )  # fmt: skip
        drawn.pictures.append((target, title))
        if scene.voxel_size_m is not None and any(len(entry.mesh.faces) for entry in entries):
            view = out / f"view_{name}.html"
            _write_views(view, title, entries, scene.points_world, truth.error_name, largest)
            drawn.views.append((view, title))
    return drawn


def _write_views(
    path: Path, title: str, entries: Sequence[Entry], points_world: np.ndarray, error_name: str, largest_m: float
) -> None:
    """The page of a scene with the viewers of its meshes, which stand in the folder views beside it."""
    folder = path.parent / _VIEWS_FOLDER
    folder.mkdir(exist_ok=True)
    views = []
    for number, entry in enumerate(entries):
        if len(entry.mesh.faces) == 0:
            continue
        page = folder / f"{path.stem}_{number + 1}.html"
        numbers = {} if entry.error is None else {"error": entry.error * 1000}
        shown = ReconstructionPage(
            entry.name, Mesh(entry.mesh.vertices, entry.mesh.faces), points_world, vertex_numbers=numbers, colour="error",
            elsewhere="in the folder runs", error_name=error_name, error_high_mm=1000 * largest_m,
        )  # fmt: skip
        write_reconstruction_page(page, shown, most_faces=_VIEW_FACES, most_bytes=_VIEW_BYTES)
        views.append(View(entry.name, entry.remark, page))
    write_views_page(path, title, views, f"Colours: {error_name}, up to {100 * largest_m:g} cm.")


def draw_bars(path: Path, rows: Sequence[ComparisonRow]) -> None:
    """Bars of the scores that matter most, times and memory; no file where no method came to any."""
    names = [name for name in columns(rows) if any(name.startswith(wanted) for wanted in _BARS)]
    if not names:
        path.unlink(missing_ok=True)
        return
    write_bars(path, [row.name for row in rows], {name: [row.values.get(name) for row in rows] for name in names})


def draw_growth(
    out: Path, points: Sequence[GrowthPoint], memory_bytes: int | None, seconds: float | None
) -> list[Path]:
    """Time and memory against floor area: growth_time.png and growth_memory.png."""
    names = list(dict.fromkeys(point.name for point in points))
    memory_limit = None if memory_bytes is None else memory_bytes / 1e9
    paths = [out / "growth_time.png", out / "growth_memory.png"]
    for path, label, limit, limit_name in (
        (paths[0], "points to mesh, s", seconds, "time allowed"),
        (paths[1], "peak memory, GB", memory_limit, "memory allowed"),
    ):
        curves = []
        for name in names:
            mine = [point for point in points if point.name == name]
            measured = {
                point.floor_m2: point.seconds if path == paths[0] else point.peak_bytes / 1e9
                for point in mine
                if point.seconds is not None and point.peak_bytes is not None
            }
            last = mine[-1]
            end = None if last.failure is None else FAILURES.get(last.failure, last.failure)
            where = None if end is None else last.floor_m2
            curves.append(Curve(name, tuple(measured), tuple(measured.values()), end, where))
        write_curves(
            path, curves, x_label="floor area on all storeys, m²", y_label=label, limit=limit, limit_name=limit_name
        )
    return paths


def growth_table(points: Sequence[GrowthPoint]) -> tuple[tuple[str, ...], ...]:
    """One row per method and building, the header first."""
    rows = [("", "floor area, m²", "points", "points to mesh, s", "peak memory, GB", "remark")]
    for point in points:
        rows.append(
            (
                point.name,
                f"{point.floor_m2:.0f}",
                f"{point.points:,}",
                "" if point.seconds is None else f"{point.seconds:.2f}",
                "" if point.peak_bytes is None else f"{point.peak_bytes / 1e9:.2f}",
                "" if point.failure is None else FAILURES.get(point.failure, point.failure),
            )
        )
    return tuple(rows)


def write_comparison_page(
    out: Path,
    title: str,
    about: str,
    rows: Sequence[ComparisonRow],
    drawn: DrawnScenes,
    growth: Sequence[GrowthPoint],
    growth_text: str,
    growth_pictures: Sequence[Path],
) -> None:
    """index.html in `out`, with everything inside."""
    sections = [PageSection("What was compared", about)]
    if rows:
        bars = [(out / "bars.png", "Scores, times and memory")] if (out / "bars.png").is_file() else []
        table = tuple(tuple(row) for row in cells(rows))
        sections.append(PageSection("Scores and cost", "", table, tuple(bars)))
    if drawn.pictures:
        text = (
            "The same camera, scale and cut for all; colours: distance of the surface to the truth. Meshes are shown as "
            "the methods make them, small pieces included. What no scanner saw, such as the outer sides of walls, is left "
            "out by some methods and guessed by others; scores of scanned buildings count what was seen only."
        )
        links = tuple((quote(path.name), f"{title}: look around, side by side") for path, title in drawn.views)
        sections.append(PageSection("Pictures", text, (), tuple(drawn.pictures), links))
    if growth:
        captions = ("Time against floor area", "Peak memory of the process against floor area")
        curves = tuple(zip(growth_pictures, captions, strict=True))
        sections.append(PageSection("Growth with floor area", growth_text, growth_table(growth), curves))
    write_page(out / "index.html", title, sections)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text)
