"""A folder for PYTHONPATH in which every process of a run finds packages not installed, whatever is installed."""

from __future__ import annotations

import os
from pathlib import Path

# What a borrowed machine may lack.
HIDDEN = (
    "open3d trimesh MinkowskiEngine tensorboard fast_simplification embreex laspy lazrs pye57 igl PIL jinja2 "
    "matplotlib ray hypothesis pytest_timeout"
).split()
# Python runs sitecustomize.py at every start.
_SITECUSTOMIZE = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def environment_without(folder: Path, repository: Path, hidden: list[str] = HIDDEN) -> dict[str, str]:
    """Variables for a process, and those that it starts, which find the repository's package but none of `hidden`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(hidden=set(hidden)), encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(repository)])}
