"""MinkowskiEngine 0.5.4 made to import with today's Python."""

from __future__ import annotations

import collections
import collections.abc
import os
import warnings
from types import ModuleType

import torch


def import_minkowski() -> ModuleType:
    """MinkowskiEngine, whose Python files expect Python < 3.10 and an environment variable."""
    if not hasattr(collections, "Sequence"):
        collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    had_threads = "OMP_NUM_THREADS" in os.environ
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its notes on the CPU-only build and on pkg_resources
            import MinkowskiEngine
    finally:
        if not had_threads:
            del os.environ["OMP_NUM_THREADS"]
    return MinkowskiEngine
