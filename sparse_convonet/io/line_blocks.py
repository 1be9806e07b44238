"""Text files of any size, a block of whole lines at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparse_convonet.runtime.refusals import unreadable

BLOCK_BYTES = 1 << 24
_LONGEST_LINE = 1 << 26


def line_blocks(path: Path, offset: int) -> Iterator[bytes]:
    """The bytes of a file from `offset` on, in parts that end with a line feed (the last one perhaps without).

    Raises ValueError where a line takes more than 64 MiB.
    """
    rest = b""
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(BLOCK_BYTES):
            end = block.rfind(b"\n") + 1
            if end:
                yield rest + block[:end]
                rest = block[end:]
                continue
            rest += block
            if len(rest) > _LONGEST_LINE:
                raise unreadable(path, f"lines of at most {_LONGEST_LINE} bytes", "a longer one")
    if rest:
        yield rest
