"""What the index of 3D Tiles says, read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def root_transform(path: Path) -> np.ndarray:
    """(4, 4) of the root, which stands column by column in the file."""
    return np.array(json.loads(path.read_text(encoding="utf-8"))["root"]["transform"]).reshape(4, 4).T
