"""The checks and sentences with which readers refuse a file: what, expected, found, what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

_PACKAGE = "sparse_convonet"


def require_file(path: Path) -> None:
    """Raise FileNotFoundError where there is no file, ValueError where it is a folder or empty."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the path")
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, found a folder; name the file in it")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: expected points or a mesh, found an empty file; export or copy it again")


def require_points(path: Path, count: int) -> None:
    """Raise ValueError where a file that could be read holds no point at all."""
    if count == 0:
        raise no_points(path)


def no_points(path: Path) -> ValueError:
    """The error for a file that holds no point."""
    return ValueError(f"{path}: expected at least one point, found none; export the scan again")


def without_breaks(text: str) -> str:
    """Our own words, or those of a library, on one line and whole."""
    return " ".join(text.split())


def one_line(text: str, longest: int = 200) -> str:
    """What a file says about itself, fit for a sentence: letters that a terminal shows, on one line, not too many."""
    words = " ".join(text[: 8 * longest].split())[:longest]
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def unreadable(path: Path, kind: str, found: str) -> ValueError:
    """The error for a file whose content is not what its suffix says, or is damaged."""
    expected = one_line(kind)
    return ValueError(
        f"{path}: expected {expected}, found {one_line(found)}; check that the file is complete or export it again"
    )


def damaged(path: Path, kind: str, error: BaseException) -> ValueError:
    """The error for a file whose parser gave up, with the parser's own words on one line."""
    words = one_line(str(error), 120) or type(error).__name__
    return unreadable(path, kind, f"damaged or truncated data ({words})")


@contextmanager
def reading_work(path: Path) -> Iterator[None]:
    """Within it a file of unfinished work is read; raises ValueError where it is damaged or of another version."""
    try:
        yield
    except (ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
        words = one_line(str(error), 80) or type(error).__name__
        raise ValueError(
            f"{path}: expected what this version leaves of unfinished work, found other or damaged data ({words}); "
            f"remove the folder {path.parent} and run again"
        ) from error


def require_package(package: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or raise ValueError saying how to install what its extra brings."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ValueError(
            f"{purpose} needs the package {package}, which is not installed; {installation(extra)}"
        ) from error


def installation(extra: str) -> str:
    """What to run for the packages of an extra: by their own names, since this package is on no index."""
    try:
        requirements = importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # the source lies on the path, and is not installed
        return f"run in the folder of its source: pip install -e '.[{extra}]'"
    wanted = [text.split(";")[0].strip() for text in requirements if re.search(f"extra == ['\"]{extra}['\"]", text)]
    return f"run: pip install {' '.join(shlex.quote(each) for each in wanted)}"
