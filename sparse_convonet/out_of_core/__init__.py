"""Stage out_of_core: reconstruct scans that are larger than memory, part by part, through a folder on disk."""

from __future__ import annotations
