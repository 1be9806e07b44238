"""Write files and folders so that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sparse_convonet.runtime.temporaries import (
    lock,
    naming,
    remove_unfinished,
    signals_later,
    temporary_beside,
    unfinished,
)

__all__ = ["atomic_folder", "atomic_group", "atomic_path", "atomic_paths", "remove_unfinished", "require_writable"]


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
    if path in unfinished:  # who made it will rename it
        with naming(unfinished[path]):
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
            with naming(path):
                _flush(temporary)
        if len(group.targets) == 1:
            _rename(group.temporaries, group.targets)
            return
        with signals_later():
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
        return self._stack.enter_context(temporary_beside(target, path))


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a new, empty folder beside `path`, which becomes `path` when the block succeeds; what was there goes then.

    Whatever ends the block early leaves what was there as it was.  A process that is killed between the two renamings
    leaves no folder at `path`; the next one that makes a folder beside it, or remove_unfinished, brings it back.
    """
    path = Path(path)
    target = path.resolve() if path.is_symlink() else path
    with temporary_beside(target, path, folder=True) as temporary:
        yield temporary
        with naming(path), signals_later():
            _swap(temporary, target)


def require_writable(folder: Path) -> None:
    """Before long work: raise NotADirectoryError or PermissionError where a folder, made or not, takes no files."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"no permission to write to {existing}; check its owner and mode or name another folder")


def _target(path: Path) -> Path:
    target = path.resolve() if path.is_symlink() else path
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
    return target


def _swap(temporary: Path, target: Path) -> None:
    """Rename a folder; one that was at the target has the temporary name then."""
    if not target.is_dir():
        os.rename(temporary, target)
        return
    former = target.with_name(f".{target.name}.{secrets.token_hex(4)}.former")
    descriptor = lock(target)  # so that no other process brings it back in between
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


def _flush(path: Path) -> None:
    """Wait until the content is on the disk, so that a crash after the renaming cannot leave an empty file."""
    found = path.stat()
    if found.st_size == 0 and found.st_mtime == 0:
        raise RuntimeError(f"nothing was written to {path}")  # a fault of the program
    with path.open("rb+") as file:
        os.fsync(file.fileno())
