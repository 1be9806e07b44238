"""Write files so that they appear whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`, with its suffix; it becomes `path` when the block succeeds.

    Whatever ends the block early (an error, a full disk, Ctrl-C) removes the temporary file and leaves a file that
    was at `path` as it was.  A symbolic link stays a link; what it points to is replaced.
    Raises FileNotFoundError or IsADirectoryError, before the block runs, where `path` cannot be a file.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {path}: it is a folder; name a file in it")
    temporary = target.with_name(f".{target.stem[:16]}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        yield temporary
        _flush(temporary)
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"disk full while writing {path}; free some space or choose another folder, nothing was overwritten",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until the content is on the disk, so that a crash after the renaming cannot leave an empty file."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
