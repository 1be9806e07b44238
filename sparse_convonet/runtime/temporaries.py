"""Temporary files and folders of a process: locked while they are written, and removed when their process was killed."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: what killed runs left stays there
    fcntl = None  # type: ignore[assignment]

_FULL = {
    errno.ENOSPC: "disk full",
    errno.EDQUOT: "disk quota used up",
    errno.EFBIG: "larger files are not allowed here (ulimit -f)",
}
_TEMPORARY = re.compile(r"\..{0,16}\.[0-9a-f]{8}\.partial(\.[^.]*)?", re.DOTALL)

_FORMER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.former", re.DOTALL)  # a folder that is being replaced
_FOLDERS_REMEMBERED = 256

unfinished: dict[Path, Path] = {}  # temporary files and folders of this process and what they will be called


def remove_unfinished(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left in a folder, and in those below; what a living one is writing stays.

    Folders that were being replaced, and whose place is empty, come back.
    """
    for inner, _, _ in os.walk(folder):
        _sweep(Path(inner))
        if not below:
            return


@contextmanager
def temporary_beside(target: Path, path: Path, *, folder: bool = False) -> Iterator[Path]:
    """An empty file or folder beside the target, locked as long as the block runs, so that other processes let it be."""
    sweep_once(os.getpid(), target.parent)
    suffix = "" if folder else target.suffix
    temporary = target.with_name(f".{target.stem[:16]}.{secrets.token_hex(4)}.partial{suffix}")
    descriptor = None
    unfinished[temporary] = path
    try:
        with naming(path):
            descriptor = _create(temporary, folder)
            yield temporary
    finally:
        with signals_later():
            _remove(temporary)
            del unfinished[temporary]
            if descriptor is not None:
                os.close(descriptor)


def _create(temporary: Path, folder: bool) -> int | None:
    """Make the file or folder and lock it; None where there are no locks."""
    while True:
        if folder:
            os.mkdir(temporary)
        else:
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
            os.utime(temporary, (0, 0))  # so that _flush can tell whether it was written to
        with suppress(FileNotFoundError):  # a sweep came between making and locking
            descriptor = lock(temporary)
            if descriptor is None or temporary.exists():
                return descriptor
            os.close(descriptor)


def lock(path: Path) -> int | None:
    """Show other processes that a file or folder is in use, until this one closes it or ends, however it ends."""
    if fcntl is None:
        return None
    descriptor = _open(path)
    with suppress(OSError):  # a disk that knows no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _open(path: Path) -> int:
    return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW)


@lru_cache(maxsize=_FOLDERS_REMEMBERED)  # a service writes to a new folder for every scan
def sweep_once(process: int, folder: Path) -> None:
    """Look for what killed processes left in a folder, unless this process has lately done so."""
    _sweep(folder)


def _sweep(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as entries:  # a folder that cannot be listed has nothing to remove
        for name in [entry.name for entry in entries]:
            if former := _FORMER.fullmatch(name):
                _bring_back(folder / name, folder / former["name"])
            elif _TEMPORARY.fullmatch(name):
                _remove_if_left(folder / name)


def _remove_if_left(path: Path) -> None:
    if path in unfinished or fcntl is None:
        return
    with suppress(OSError):  # a living process holds it, another was faster, or it belongs to another user
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(path)
        finally:
            os.close(descriptor)


def _bring_back(former: Path, target: Path) -> None:
    """Of a folder that a process renamed to put a new one in its place, and the new one, only one stays."""
    with suppress(OSError):  # another was faster, or it belongs to another user
        descriptor = None if fcntl is None else _open(former)
        try:
            if descriptor is not None and _is_held(descriptor):
                return
            if os.path.lexists(target):  # it must not come back when half of it is removed
                left = former.with_name(f".{target.stem[:16]}.{secrets.token_hex(4)}.partial")
                os.rename(former, left)
                _remove(left)
            else:
                os.rename(former, target)
        finally:
            if descriptor is not None:
                os.close(descriptor)


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # without locks: one that is between its renamings just now fails then, losing nothing
        return isinstance(error, BlockingIOError)
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the system name the file that is being written, not its temporary name or that of its folder."""
    path = next((unfinished[up] / path.relative_to(up) for up in path.parents if up in unfinished), path)
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and "while writing" not in str(error):
            raise OSError(
                error.errno,
                f"{_FULL[error.errno]} while writing {path}; free some space or choose another folder, "
                "nothing was overwritten",
            ) from error
        if error.filename is not None and Path(os.fsdecode(error.filename)) in unfinished:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def signals_later() -> Iterator[None]:
    """Ctrl-C and SIGTERM during the block come after it.  Threads but the main one are not interrupted anyway."""
    arrived: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        before = {number: found for number, found in handlers.items() if found not in (None, signal.SIG_IGN)}
    try:
        for number in before:
            signal.signal(number, lambda number, frame: arrived.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in arrived:
            signal.raise_signal(number)
