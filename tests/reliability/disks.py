"""Small disks that fill up or cannot be written to: file systems in memory, which need root to be mounted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """path: where it is mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def leave(self, kilobytes: int) -> None:
        """Make the disk so large that this much is free."""
        found = os.statvfs(self.path)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
        self._remount(f"size={used + kilobytes}k")

    def protect(self) -> None:
        """Nothing can be written any more."""
        self._remount("ro")

    def _remount(self, options: str) -> None:
        assert _call("mount", "-o", f"remount,{options}", str(self.path)) == 0


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A disk of 16 MB, mounted at `path`.  Skips the test where this is not allowed."""
    path.mkdir()
    if not sys.platform.startswith("linux") or _call("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(path)):
        pytest.skip("needs Linux and the right to mount a disk")
    try:
        yield SmallDisk(path)
    finally:
        _call("umount", str(path))


def _call(*command: str) -> int:
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode
