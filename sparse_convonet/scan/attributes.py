"""What points carry besides places and colours (intensity, classification), taken over by the vertices of mesh.ply."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.ply_columns import copy_with_columns
from sparse_convonet.mesh.attribute_cells import attribute_cells
from sparse_convonet.mesh.expected_error import ERROR_ATTRIBUTES
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.runtime.temporaries import temporary_beside

_VERTEX_NAMES = {*"xyz", "nx", "ny", "nz", "red", "green", "blue", *ERROR_ATTRIBUTES}
_FIRST_POINTS = 1000
_CARRYING = ".las, .laz, .e57, .ply, .pcd and tables with headings"


def require_attributes(inputs: Sequence[Path], names: Sequence[str], columns: Sequence[str] | None = None) -> None:
    """Raise ValueError, in one sentence, where an input has no such number of each point, or mesh.ply no room for it.

    columns: of tables, as of io.chunks.read_chunks.
    """
    written = [ply_name(name) for name in names]
    taken = [name for name, as_written in zip(names, written, strict=True) if as_written in _VERTEX_NAMES]
    if taken:
        raise ValueError(
            f"--attributes: expected names that the vertices of mesh.ply do not have, found {', '.join(taken)}; leave them "
            "out, or rename them in the scan"
        )
    if len(set(written)) < len(written):
        raise ValueError(
            f"--attributes: expected names that differ in letters, digits and _, found {', '.join(names)}; "
            "ask for one of them"
        )
    for path in inputs:
        first = next(iter(read_chunks(path, chunk_points=_FIRST_POINTS, columns=columns, attributes=names)))
        missing = [name for name in names if name not in first.attributes]
        if missing:
            held = ", ".join(first.attributes) or "none"
            raise ValueError(
                f"{path}: --attributes: expected numbers {', '.join(missing)} of each point, found {held}; name "
                f"what it has ({_CARRYING} are read for them)"
            )


def ply_name(name: str) -> str:
    """As mesh.ply has it: letters, digits and _ of ASCII."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def carry_attributes(
    mesh: Path,
    inputs: Sequence[Path],
    names: Sequence[str],
    columns: Sequence[str] | None,
    corner: np.ndarray,
    cell: float,
    progress: Progress,
) -> None:
    """Write mesh.ply once more, in its place, with the attributes of the points near each vertex.

    mesh: .ply in the frame of the inputs.  columns: as of require_attributes.  corner: (3,) where the cells in which
    points are put together begin, cell: their edge, both in that frame and its units.
    """
    table = attribute_cells(_parts(inputs, names, columns, progress), names, corner, cell)
    kinds = {ply_name(name): kind for name, kind in table.kinds.items()}

    def at(places: np.ndarray) -> dict[str, np.ndarray]:
        return {ply_name(name): values for name, values in table.at(places).items()}

    with temporary_beside(mesh, mesh) as temporary:
        copy_with_columns(mesh, temporary, kinds, at)
        os.replace(temporary, mesh)
        temporary.touch()  # it is removed when the block ends


def _parts(
    inputs: Sequence[Path], names: Sequence[str], columns: Sequence[str] | None, progress: Progress
) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
    for number, path in enumerate(inputs):
        for chunk in read_chunks(path, columns=columns, attributes=names):
            progress("attributes", (number + chunk.share) / len(inputs))
            unknown = np.full(len(chunk.points), np.nan)  # of scans in an E57 file that lack what others have
            yield chunk.points, {name: chunk.attributes.get(name, unknown) for name in names}
