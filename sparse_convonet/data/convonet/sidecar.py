"""What the papers' format cannot say: where the unit cube of a model stands in the world, in frame.json beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.runtime.atomic import atomic_path

FRAME_FILE = "frame.json"


def write_frame(folder: Path, frame: UnitFrame) -> None:
    """Write <folder>/frame.json."""
    content = {
        "metres_per_unit": float(frame.metres_per_unit),
        "centre_world": np.asarray(frame.centre_world, dtype=np.float64).tolist(),
    }
    with atomic_path(folder / FRAME_FILE) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def read_frame(folder: Path) -> UnitFrame | None:
    """The frame of a model, or None where it has none: its size in metres is not known then.

    Raises ValueError for a damaged file.
    """
    path = folder / FRAME_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return UnitFrame(np.array(content["centre_world"], dtype=np.float64), float(content["metres_per_unit"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected metres_per_unit (a number) and centre_world (three numbers), found something else; "
            "correct or remove the file"
        ) from error
