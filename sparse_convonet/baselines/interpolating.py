"""Stage baselines: surfaces whose vertices are the points themselves: ball pivoting and alpha shapes."""

from __future__ import annotations

import numpy as np
import open3d
from scipy.spatial import Delaunay, QhullError

from sparse_convonet.baselines.local_frame import LocalPoints, empty_mesh, quiet_open3d
from sparse_convonet.config.baselines import AlphaShapeSettings, BallPivotingSettings
from sparse_convonet.mesh.topology import keep_faces
from sparse_convonet.structures import Mesh

# The faces of a tetrahedron, counter-clockwise from outside where (1 - 0) x (2 - 0) . (3 - 0) is positive; face n
# lies opposite to corner n.
_FACES_OF_TETRAHEDRON = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])


def ball_pivoting_surface(local: LocalPoints, settings: BallPivotingSettings) -> Mesh:
    """Points with normals -> mesh in the frame of the cloud, open where no ball fits; empty where none fits at all."""
    spacing = local.spacing()
    radii = open3d.utility.DoubleVector(sorted(radius * spacing for radius in settings.radius_spacings))
    with quiet_open3d():
        legacy = open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(local.as_open3d(), radii)
    return local.mesh_in_cloud_frame(legacy)


def alpha_shape_surface(local: LocalPoints, settings: AlphaShapeSettings) -> Mesh:
    """Points -> mesh in the frame of the cloud, empty where no tetrahedron is small enough.

    Closed: with every edge run through as often in one direction as in the other.  (open3d's own alpha shapes leave
    the direction of faces to chance.)  Raises ValueError for points on one plane.
    """
    local.require_volume("alpha shape")
    try:
        triangulation = Delaunay(local.points)
    except QhullError as error:
        raise ValueError(
            f"alpha shape: expected points in general position, found {len(local.points)} whose triangulation fails; "
            "give more points"
        ) from error
    tetrahedra, neighbours = triangulation.simplices, triangulation.neighbors  # both (T, 4)
    radii, determinants = _circumspheres(local.points[tetrahedra])
    kept = radii <= settings.alpha_spacings * local.spacing()
    # Row -1 of the neighbours is the outside: it is kept nowhere.
    on_border = kept[:, None] & ~np.append(kept, False)[neighbours]
    tetrahedron, opposite = np.nonzero(on_border)
    faces = np.take_along_axis(tetrahedra[tetrahedron], _FACES_OF_TETRAHEDRON[opposite], axis=1).astype(np.int64)
    if len(faces) == 0:
        return empty_mesh()
    mirrored = determinants[tetrahedron] < 0
    faces[mirrored] = faces[mirrored, ::-1]
    return keep_faces(Mesh(local.points + local.origin, faces), np.ones(len(faces), dtype=bool))


def _circumspheres(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tetrahedra (T, 4, 3) -> radii (T,) of their circumspheres, infinite for flat ones, and six times the volumes.

    From corner 0, with edges a, b, c: centre = (|a|^2 b x c + |b|^2 c x a + |c|^2 a x b) / (2 a . (b x c)).
    """
    a, b, c = (corners[:, corner] - corners[:, 0] for corner in (1, 2, 3))
    across = np.cross(b, c)
    determinants = np.einsum("td,td->t", a, across)
    scaled = (a**2).sum(axis=1)[:, None] * across
    scaled += (b**2).sum(axis=1)[:, None] * np.cross(c, a)
    scaled += (c**2).sum(axis=1)[:, None] * np.cross(a, b)
    lengths = np.linalg.norm(scaled, axis=1)
    flat = determinants == 0
    radii = lengths / (2 * np.abs(np.where(flat, 1.0, determinants)))
    return np.where(flat, np.inf, radii), determinants
