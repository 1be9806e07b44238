"""Where the curves of a training go: TensorBoard's event files, or a CSV file where TensorBoard is not installed."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np

logger = logging.getLogger(__name__)

CURVES = "curves.csv"
_HEAD = ("step", "name", "value")


class Curves(Protocol):
    """The part of TensorBoard's SummaryWriter that a training uses."""

    def add_scalar(self, name: str, value: float, step: int, /) -> None: ...

    def add_image(self, name: str, image: np.ndarray, step: int, /, *, dataformats: str) -> None: ...

    def add_mesh(self, name: str, /, *, vertices: Any, faces: Any, global_step: int) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


CurvesOpener: TypeAlias = Callable[[Path, int], Curves]


def open_curves(out: Path, first_step: int) -> Curves:
    """Curves in the folder of a run, which goes on at `first_step` (from 1): what stands there from it on is taken back."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("tensorboard is not installed: the curves go to %s, without pictures", out / CURVES)
        return CsvCurves(out, first_step)
    writer: Any = SummaryWriter(str(out), purge_step=first_step)
    return cast(Curves, writer)


class CsvCurves:
    """One row for each value: step, name, value.  Pictures and meshes are left out."""

    def __init__(self, out: Path, first_step: int) -> None:
        path = out / CURVES
        kept = [row for row in read_curves(path) if row[0] < first_step] if path.exists() else []
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(_HEAD)
        self._rows.writerows(kept)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._rows.writerow((step, name, float(value)))

    def add_image(self, name: str, image: np.ndarray, step: int, dataformats: str) -> None:
        """A table has no place for it."""

    def add_mesh(self, name: str, vertices: Any, faces: Any, global_step: int) -> None:
        """A table has no place for it."""

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_run(out: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves of a run's folder by name, each with its steps (ascending) and values: of TensorBoard's events, or of
    the table.

    Raises ValueError, in one sentence, for a folder that holds neither.
    """
    if (out / CURVES).is_file():
        rows = read_curves(out / CURVES)
    elif any(out.glob("events.out.tfevents.*")):
        rows = _read_events(out)
    else:
        raise ValueError(
            f"{out}: expected the folder of a run of sparse-convonet train, with events.out.tfevents.* or {CURVES}, found "
            "neither; check the path"
        )
    found: dict[str, dict[int, float]] = {}
    for step, name, value in rows:
        found.setdefault(name, {})[step] = value
    return {name: sorted(values.items()) for name, values in found.items()}


def _read_events(out: Path) -> list[tuple[int, str, float]]:
    """Of all files of the folder; what a resumed run took back is left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
    events.Reload()
    return [(each.step, name, each.value) for name in events.Tags()["scalars"] for each in events.Scalars(name)]


def read_curves(path: Path) -> list[tuple[int, str, float]]:
    """The rows (step, name, value) of a file of CsvCurves; a last line that a killed process cut off is left out."""
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            try:
                step, name, value = row
                rows.append((int(step), name, float(value)))
            except ValueError:
                continue  # the head, or a line without its end
    return rows
