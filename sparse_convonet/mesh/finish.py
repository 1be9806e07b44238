"""Stage mesh: what is done last to a whole mesh in metres: fewer faces, normals where it has none, what the points say."""

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
    dress: Callable[[Mesh], Mesh],
    progress: Progress,
) -> Mesh:
    """Simplify to so many faces or to within an error, at most one of them; then normals; then dress, unless it is empty.

    mesh: metres, with normals that stay unless it is simplified, or without.  dress: gives a mesh with normals what it
    has from the points: colours, and how far it is to be trusted.
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
    return mesh if len(mesh.vertices) == 0 else dress(mesh)
