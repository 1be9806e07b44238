"""Further numbers of the vertices of a PLY file that is there already, block by block."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sparse_convonet.io.ply_format import parse_header
from sparse_convonet.runtime.refusals import unreadable

_BLOCK_ROWS = 1 << 18
_NAMES = {"u1": "uchar", "i4": "int", "f4": "float", "f8": "double"}


def copy_with_columns(
    source: Path,
    target: Path,
    kinds: Mapping[str, np.dtype],
    values: Callable[[np.ndarray], Mapping[str, np.ndarray]],
) -> None:
    """Write a binary PLY, whose first element is its vertices, once more with numbers of each vertex behind those it has.

    kinds: the type of each of the new numbers: uint8, int32, float32 or float64.  values: what it gives for (n, 3) float64
    places of vertices, (n,) each.  Raises ValueError for another PLY, and for names that it has already.
    """
    with source.open("rb") as file, target.open("wb") as out:
        header = parse_header(source, file)
        vertex = header.elements[0] if header.elements else None
        if vertex is None or vertex.name != "vertex" or vertex.has_lists or not header.order:
            raise unreadable(source, "a binary PLY that begins with its vertices", "another")
        held = [item.name for item in vertex.properties]
        doubled = [name for name in kinds if name in held]
        if doubled:
            raise ValueError(f"{source}: expected names that its vertices do not have, found {', '.join(doubled)}")
        file.seek(0)
        lines = file.read(header.start).decode("latin-1").splitlines()
        at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["element", "vertex"]) + 1
        while lines[at].split()[0] in ("property", "comment"):
            at += 1
        lines[at:at] = [f"property {_NAMES[np.dtype(kind).str[1:]]} {name}" for name, kind in kinds.items()]
        out.write(("\n".join(lines) + "\n").encode("latin-1"))
        old = np.dtype([(item.name, header.order + item.kind) for item in vertex.properties])
        new = np.dtype([*old.descr, *((name, header.order + np.dtype(kind).str[1:]) for name, kind in kinds.items())])
        for start in range(0, vertex.count, _BLOCK_ROWS):
            count = min(_BLOCK_ROWS, vertex.count - start)
            content = file.read(count * old.itemsize)
            if len(content) < count * old.itemsize:
                raise unreadable(source, f"{vertex.count} vertices", "fewer")
            rows = np.frombuffer(content, old)
            found = values(np.stack([rows[axis] for axis in "xyz"], axis=1).astype(np.float64))
            more = np.empty(count, new)
            for name in held:
                more[name] = rows[name]
            for name in kinds:
                more[name] = found[name]
            out.write(more.data)
        shutil.copyfileobj(file, out)
