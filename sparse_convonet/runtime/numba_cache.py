"""Numba's njit, whose cache on disk also notices changes in the files that the kernel's own file imports.

Numba compiles an imported function or constant into a kernel, but looks at the kernel's own file alone when it decides
whether what lies in the cache is still right.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from typing import Any

import numba
from numba.core import config

logger = logging.getLogger(__name__)

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[\w.]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n(]+)|import[ \t]+(?P<modules>[^\n(]+))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#[^\n]*")


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """numba.njit with its options; with cache=True, a change in any file of this package that counts compiles anew."""
    if function is None:
        return lambda kernel: njit(kernel, **options)
    compiled = numba.njit(function, **options)
    if options.get("cache") and not _stamp_cache(compiled, function.__module__):
        logger.warning(
            "%s: this release of Numba cannot tell old kernels; compiled in every process", function.__name__
        )
        return numba.njit(function, **{**options, "cache": False})
    return compiled


def _stamp_cache(compiled: Any, module: str) -> bool:
    """Let the cache of a compiled function be right only for the sources of today; False where Numba has no such place."""
    if getattr(config, "DISABLE_JIT", False):
        return True
    files: Any = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if not hasattr(files, "_source_stamp"):
        return False
    files._source_stamp = (files._source_stamp, source_stamp(module))
    return True


@cache
def source_stamp(module: str) -> str:
    """A hash of the sources of a module and of all that it imports, directly or not, from its own package."""
    hashes: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in hashes:
            hashes[name], imported = _read(name)
            waiting += imported
    return hashlib.sha256("\n".join(f"{name} {hashes[name]}" for name in sorted(hashes)).encode()).hexdigest()


@cache
def _read(module: str) -> tuple[str, list[str]]:
    """The hash of a module's source and the modules of the same package that it imports; nothing without a source."""
    spec = _spec(module)
    source = spec.loader.get_source(module) if spec and isinstance(spec.loader, InspectLoader) else None
    if spec is None or source is None:
        return "", []
    parent = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    names = _imported_names(source, parent)
    same_package = [name for name in names if name.partition(".")[0] == module.partition(".")[0]]
    return hashlib.sha256(source.encode()).hexdigest(), [name for name in same_package if _spec(name)]


def _imported_names(source: str, parent: str) -> Iterator[str]:
    """Full names; `from a import b` gives a and a.b, since b may be a module.

    Found as text, since every start of a process would have to parse all of the files.  What only looks like an import, in
    a docstring, adds a file that counts.
    """
    for match in _IMPORT.finditer(source):
        if match["modules"] is not None:
            yield from _names_in(match["modules"])
            continue
        level = len(match["base"]) - len(match["base"].lstrip("."))
        start = importlib.util.resolve_name("." * level, parent) if level else ""
        base = ".".join(part for part in (start, match["base"][level:]) if part)
        yield base
        yield from (f"{base}.{name}" for name in _names_in(match["names"]))


def _names_in(listed: str) -> list[str]:
    """Of `a as b, c  # why`, in parentheses or not: a, c."""
    return [each.split()[0] for each in _COMMENT.sub("", listed).strip("()").split(",") if each.strip()]


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module is; None for what is no module."""
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):  # its parent is no package; or a script
        return None
