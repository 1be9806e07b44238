"""Sparse convolution: MinkowskiEngine itself, or `native` behind the same names."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType

logger = logging.getLogger(__name__)

ENGINES = ("auto", "minkowski", "native")


def load_engine(name: str = "auto") -> ModuleType:
    """The module of layers for `name`: "auto", "minkowski" or "native".

    "auto" takes native, the fastest on a CPU.  Raises ValueError for other names, and for "minkowski"
    where MinkowskiEngine cannot be imported.
    """
    if name not in ENGINES:
        raise ValueError(f"engine: expected one of {', '.join(ENGINES)}, found {name!r}")
    if name == "auto":
        name = "native"
        logger.info("engine: auto chose %s", name)
    if name == "minkowski":
        try:
            return importlib.import_module("sparse_convonet.engine.minkowski")
        except ImportError as error:
            raise ValueError(
                f"engine: minkowski was asked for, but MinkowskiEngine cannot be imported ({error}); "
                "install MinkowskiEngine 0.5.4, or set engine to native or auto"
            ) from error
    return importlib.import_module("sparse_convonet.engine.native")
