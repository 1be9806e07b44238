"""Write files and folders so that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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

_unfinished: dict[Path, Path] = {}  # temporary files and folders of this process and what they will be called
_swept: set[tuple[int, Path]] = set()  # folders in which this process has looked for what killed ones left


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with its suffix; it becomes `path` when the block succeeds.

    Whatever ends the block early (an error, a full disk, Ctrl-C) removes the temporary file and leaves a file that
    was at `path` as it was.  What a killed process left is removed by the next one that writes to the folder.  A
    symbolic link stays a link; what it points to is replaced.  `path` may itself be such a temporary path.
    Raises FileNotFoundError, IsADirectoryError or PermissionError, before the block runs, where `path` cannot be
    a file.
    """
    path = Path(path)
    if path in _unfinished:  # who made it will rename it
        with _naming(_unfinished[path]):
            yield path
        return
    with atomic_paths([path]) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(paths: Sequence[Path | str]) -> Iterator[tuple[Path, ...]]:
    """The same for files that belong together: all become their `paths` when the block succeeds, or none does.

    The last path is the commit marker: its file is removed before the first is replaced and comes back after all of
    them.  So where it exists the others are of the same run; a process killed in between leaves a set without it.
    """
    with atomic_group(paths) as group:
        yield tuple(group.temporaries)


@contextmanager
def atomic_group(paths: Sequence[Path | str]) -> Iterator[AtomicGroup]:
    """atomic_paths for a set of files that may grow meanwhile."""
    with ExitStack() as stack:
        group = AtomicGroup(stack, [Path(path) for path in paths])
        yield group
        for temporary, path in zip(group.temporaries, group.paths, strict=True):
            with _naming(path):
                _flush(temporary)
        if len(group.targets) == 1:
            _rename(group.temporaries, group.targets)
            return
        with _signals_later():
            _rename(group.temporaries, group.targets)


class AtomicGroup:
    """paths, and the temporaries to write to in their stead; the last is the commit marker.  Made by atomic_group."""

    def __init__(self, stack: ExitStack, paths: Sequence[Path]) -> None:
        self._stack = stack
        self.paths = list(paths)
        self.targets = [_target(path) for path in self.paths]
        self.temporaries = [self._enter(target, path) for target, path in zip(self.targets, self.paths, strict=True)]

    def add(self, path: Path) -> Path:
        """The temporary of one more file, which comes before the commit marker; raises as atomic_path."""
        target = _target(path)
        temporary = self._enter(target, path)
        for members, member in ((self.paths, path), (self.targets, target), (self.temporaries, temporary)):
            members.insert(-1, member)
        return temporary

    def _enter(self, target: Path, path: Path) -> Path:
        return self._stack.enter_context(_temporary(target, path))


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new, empty folder beside `path`, which becomes `path` when the block succeeds; what was there goes then.

    Whatever ends the block early leaves what was there as it was.  A process that is killed between the two renamings
    leaves no folder at `path`; the next one that makes a folder beside it, or remove_unfinished, brings it back.
    """
    path = Path(path)
    target = path.resolve() if path.is_symlink() else path
    with _temporary(target, path, folder=True) as temporary:
        yield temporary
        with _naming(path), _signals_later():
            _swap(temporary, target)


@contextmanager
def _signals_later() -> Iterator[None]:
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


def require_writable(folder: Path) -> None:
    """Before long work: raise NotADirectoryError or PermissionError where a folder, made or not, takes no files."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"no permission to write to {existing}; check its owner and mode or name another folder")


def remove_unfinished(folder: Path, *, below: bool = True) -> None:
    """Remove what killed processes left in a folder, and in those below; what a living one is writing stays.

    Folders that were being replaced, and whose place is empty, come back.
    """
    for inner, _, _ in os.walk(folder):
        _sweep(Path(inner))
        if not below:
            return


def _target(path: Path) -> Path:
    target = path.resolve() if path.is_symlink() else path
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
    return target


@contextmanager
def _temporary(target: Path, path: Path, *, folder: bool = False) -> Iterator[Path]:
    """An empty file or folder beside the target, locked as long as the block runs, so that other processes let it be."""
    if (os.getpid(), target.parent) not in _swept:
        _swept.add((os.getpid(), target.parent))
        _sweep(target.parent)
    suffix = "" if folder else target.suffix
    temporary = target.with_name(f".{target.stem[:16]}.{secrets.token_hex(4)}.partial{suffix}")
    descriptor = None
    _unfinished[temporary] = path
    try:
        with _naming(path):
            descriptor = _create(temporary, folder)
            yield temporary
    finally:
        with _signals_later():
            _remove(temporary)
            del _unfinished[temporary]
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
            descriptor = _lock(temporary)
            if descriptor is None or temporary.exists():
                return descriptor
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    """Show other processes that a file or folder is in use, until this one closes it or ends, however it ends."""
    if fcntl is None:
        return None
    descriptor = _open(path)
    with suppress(OSError):  # a disk that knows no locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _open(path: Path) -> int:
    return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | os.O_NOFOLLOW)


def _sweep(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as entries:  # a folder that cannot be listed has nothing to remove
        for name in [entry.name for entry in entries]:
            if former := _FORMER.fullmatch(name):
                _bring_back(folder / name, folder / former["name"])
            elif _TEMPORARY.fullmatch(name):
                _remove_if_left(folder / name)


def _remove_if_left(path: Path) -> None:
    if path in _unfinished or fcntl is None:
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


def _swap(temporary: Path, target: Path) -> None:
    """Rename a folder; one that was at the target has the temporary name then."""
    if not target.is_dir():
        os.rename(temporary, target)
        return
    former = target.with_name(f".{target.name}.{secrets.token_hex(4)}.former")
    descriptor = _lock(target)  # so that no other process brings it back in between
    try:
        os.rename(target, former)
        try:
            os.rename(temporary, target)
        except OSError:
            os.rename(former, target)
            raise
        os.rename(former, temporary)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _rename(temporaries: Sequence[Path], targets: Sequence[Path]) -> None:
    for temporary, target in zip(temporaries, targets, strict=True):
        if target.exists():
            shutil.copymode(target, temporary)
    if len(targets) > 1:
        targets[-1].unlink(missing_ok=True)
    for temporary, target in zip(temporaries, targets, strict=True):
        os.replace(temporary, target)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the system name the file that is being written, not its temporary name or that of its folder."""
    path = next((_unfinished[up] / path.relative_to(up) for up in path.parents if up in _unfinished), path)
    try:
        yield
    except OSError as error:
        if error.errno in _FULL and "while writing" not in str(error):
            raise OSError(
                error.errno,
                f"{_FULL[error.errno]} while writing {path}; free some space or choose another folder, "
                "nothing was overwritten",
            ) from error
        if error.filename is not None and Path(os.fsdecode(error.filename)) in _unfinished:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _flush(path: Path) -> None:
    """Wait until the content is on the disk, so that a crash after the renaming cannot leave an empty file."""
    found = path.stat()
    if found.st_size == 0 and found.st_mtime == 0:
        raise RuntimeError(f"nothing was written to {path}")  # a fault of the program
    with path.open("rb+") as file:
        os.fsync(file.fileno())
