"""What a reconstruction says while it runs: lines to the log, and a progress bar for each stage."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped
from sparse_convonet.clouds.scanners import MOST_RANGE_M
from sparse_convonet.metrics.sides import SCAN_START_M, WRONG_SIDE_VOXELS
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan import forecast
from sparse_convonet.scan.request import LIGHT_FORMATS, REMOVED_FILE

_MISPLACED = 0.9  # of the rays end early: no scanner stood there
_SURE_OF_UP = 0.2  # confidence; below it other axes are as likely

logger = logging.getLogger(__name__)


def show_messages(of_module: str = __name__) -> None:
    """For tools: what a module says goes to stdout as it is; of the rest, warnings only."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logging.getLogger(of_module).setLevel(logging.INFO)
    logging.getLogger(forecast.__name__).setLevel(logging.INFO)


class StageBars:
    """One progress bar per stage, on stderr."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._bar: tqdm | None = None

    def __call__(self, stage: str, share: float) -> None:
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=1.0, desc=stage, bar_format="{desc:>28} {bar:30} {percentage:3.0f}% {elapsed}")
        if self._bar is not None:
            self._bar.update(max(0.0, min(1.0, share) - self._bar.n))

    def close(self) -> None:
        """Finish the bar of the current stage."""
        if self._bar is not None:
            self._bar.update(1.0 - self._bar.n)
        self._end()

    def _end(self) -> None:
        """Leave the bar where it is, with the line at its end."""
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = None, None

    def __enter__(self) -> StageBars:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        self._end()


def tell_model(trained: TrainedModel, device: str) -> None:
    record = ", ".join(f"{name} {value}" for name, value in trained.record.items())
    logger.info("model     %s (%s), engine %s on %s", trained.name, record, trained.sparse.unet.engine.name, device)


def tell_input(
    summary: CloudSummary,
    points_read: int,
    dropped: Dropped,
    settings: ReconstructionSettings,
    *,
    guessed: bool,
    scale_asked: bool,
) -> None:
    extent = " x ".join(f"{value:.2f}" for value in summary.extent)
    logger.info("read      %d points, extent %s, spacing %.3g", points_read, extent, summary.spacing)
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in asdict(dropped).items() if count]
    logger.info("dropped   %s", ", ".join(reasons) if reasons else "none")
    if dropped.outliers:
        logger.info(
            "outliers  are strewn through space, %.2g %% of the points, and would be built around; --keep-outliers keeps "
            "them, --removed writes them to a file",
            100 * dropped.outliers / points_read,
        )
    if summary.units_declared and not scale_asked:
        logger.info(
            "units     %s, as the file declares: %.9g m each; --scale sets it", summary.units, settings.metres_per_unit
        )
    logger.info("up axis   %s (%s)", settings.up, _how_sure(summary) if guessed else "as asked")


def _how_sure(summary: CloudSummary) -> str:
    if summary.up_confidence >= _SURE_OF_UP:
        return "guessed from the points; --up sets it"
    return (
        f"guessed from the points with low confidence, {summary.up_confidence:.2f} of 1: look at the picture; if it "
        "does not stand upright, say --up"
    )


def tell_plan(plan: Plan, budget: int, *, disk_asked: bool) -> None:
    logger.info("voxels    %.3g m: %s", plan.voxel_size_m, plan.reason)
    logger.info("cells     %.3g m of the mesh", plan.cell_size_m)
    logger.info(
        "expect    %d voxels, up to %.1f GB of memory and %.0f to %.0f s on two cores, by the machine",
        plan.voxels, plan.memory_bytes / 1e9, *plan.seconds_range,
    )  # fmt: skip
    if plan.tile_voxels is not None:
        why = "as asked" if disk_asked else f"one piece would take more than the {budget / 1e9:.1f} GB allowed"
        logger.info(
            "tiles     %d of at most %d voxels (%.0f m) each: %s",
            plan.tiles, plan.tile_voxels, plan.tile_voxels * plan.voxel_size_m, why,
        )  # fmt: skip


def tell_certificate(certificate: dict[str, Any]) -> None:
    """certificate: of the report."""
    if certificate["error_95_mm"] is None:
        logger.info("expected  no error can be told: no point is near the surface")
        return
    logger.info(
        "expected  68 %% of the surface that was seen, %.0f %% of all, within %.1f mm of the truth, 95 %% within %.1f mm "
        "(%s), if the scan itself is right",
        100 * certificate["observed"], certificate["error_68_mm"], certificate["error_95_mm"],
        certificate["level_of_accuracy"],
    )  # fmt: skip
    if certificate["guessed_because"]:
        logger.info("          these errors are guesses: %s", "; ".join(certificate["guessed_because"]))


def tell_result(report: dict[str, Any], written: Sequence[Path], *, scanners_by: str | None) -> None:
    """scanners_by: the option that told where the scanner stood; None: there was none."""
    mesh, near = report["mesh"], report["coverage"]
    logger.info(
        "mesh      %d vertices, %d faces, %.0f m2 in %d pieces%s",
        mesh["vertices"], mesh["faces"], mesh["area_m2"], mesh["components"], ", watertight" * mesh["watertight"],
    )  # fmt: skip
    logger.info(
        "coverage  %.1f %% of the points within one cell of the mesh, %.1f %% within one voxel",
        100 * near["within_1_cell"], 100 * near["within_1_voxel"],
    )  # fmt: skip
    tell_certificate(report["certificate"])
    light = report["light_mesh"]
    if light is not None:
        logger.info(
            "light     %d faces in %s, 95 %% of the mesh within %.1f mm of it, the farthest %.0f mm",
            light["faces"], ", ".join(path.name for path in written if path.suffix[1:] in LIGHT_FORMATS),
            1000 * light["within_95_m"], 1000 * light["largest_m"],
        )  # fmt: skip
    if report["texture"] is not None:
        texture = report["texture"]
        logger.info(
            "texture   %d x %d texels of %.1f mm in mesh_textured.glb",
            texture["width"], texture["height"], texture["texel_mm"],
        )  # fmt: skip
    if report["free_space_m3"]:  # or no position was known, or none that can be true
        logger.info(
            "carved    nothing was built in %.0f m3 that the rays of the scanner passed (--no-carve builds there)",
            report["free_space_m3"],
        )
    if report["sides"] is not None:
        sides = report["sides"]
        logger.info(
            "sides     of %d rays from the scanner %.1f %% meet the mesh before their points, by more than %g voxels, "
            "%.1f %% go through it",
            sides["rays"], 100 * sides["early"], WRONG_SIDE_VOXELS, 100 * sides["through"],
        )  # fmt: skip
        if sides["early"] > _MISPLACED:
            logger.warning(
                "sides     nearly all rays end before their points: are the positions of the scanner in the frame and "
                "units of the scan? they have carved it, too: mend them, or run again with --no-carve"
            )
    elif scanners_by is not None:
        logger.warning(
            "sides     unknown: no point lies %g m to %g km from %s; is it in the frame and units of the scan?",
            SCAN_START_M, MOST_RANGE_M / 1000, scanners_by,
        )  # fmt: skip
    if report["overlap"] is not None:
        overlap = report["overlap"]
        logger.info(
            "overlap   of %.0f m2 that several of %d viewpoints saw, half is scanned within %.1f mm of each other, 95 %% "
            "within %.1f mm; report.json says where it is worst",
            overlap["area_m2"], overlap["viewpoints"], overlap["median_mm"], overlap["within_95_mm"],
        )  # fmt: skip
    dropped_points = report["input"]["dropped"]
    if any(path.name == REMOVED_FILE for path in written) and not dropped_points["ghosts"] + dropped_points["outliers"]:
        logger.info(
            "removed   no point, so %s is empty: outliers go where there are many, unless they are kept, and ghosts show "
            "where two positions of a scanner are known, metres apart",
            REMOVED_FILE,
        )
    for number, plan in enumerate(report["floor_plans"] or ()):
        if plan["rooms"]:
            is_open = len(plan["open_to_the_storey_below"])
            enclosed = plan["rooms"] - is_open
            rooms = f"{enclosed} room{'s' * (enclosed != 1)}"
            rooms += f", {is_open} open to the storey below" if is_open else ""
            logger.info("plan      storey %d: %s, %.1f m2", number + 1, rooms, plan["area_m2"])
        else:
            logger.warning(
                "plan      storey %d: no room; a plan takes floors and walls that are seen from inside", number + 1
            )
    if report["input"]["crs"] is not None:
        logger.info("place     %s, as mesh.prj says beside mesh.ply", report["input"]["crs"]["name"])
    logger.info("took      %.1f s, peak memory %.2f GB", report["seconds"]["total"], report["peak_memory_bytes"] / 1e9)
    logger.info("wrote     %s", ", ".join(map(str, written)))
