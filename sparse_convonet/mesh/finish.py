"""Stage mesh: what is done last to a whole mesh in metres: fewer faces, normals where it has none, colours."""

from __future__ import annotations

from collections.abc import Callable

from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh

LEAST_FACES = 4  # of a closed piece: a tetrahedron


def finish_mesh(
    mesh: Mesh,
    simplify_faces: int | None,
    simplify_error_m: float | None,
    colour: Callable[[Mesh], Mesh] | None,
    progress: Progress,
) -> Mesh:
    """Simplify to so many faces or to within an error, at most one of them; then normals, then colours.

    mesh: metres, with normals that stay unless it is simplified, or without.  colour: gives a mesh its colours; None:
    it gets none.
    """
    if simplify_faces is not None or simplify_error_m is not None:
        progress("simplify", 0.0)
        from sparse_convonet.mesh.simplify import simplify_to_error, simplify_to_faces  # open3d imports slowly

        if simplify_faces is not None:
            mesh = simplify_to_faces(mesh, simplify_faces)
        elif simplify_error_m is not None:
            mesh = simplify_to_error(mesh, simplify_error_m).mesh
    if mesh.normals is None:
        mesh = with_area_normals(mesh)
    return mesh if colour is None or len(mesh.vertices) == 0 else colour(mesh)
