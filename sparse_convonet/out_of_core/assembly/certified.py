"""Stage out_of_core: the certificate of a mesh from the attributes of its vertices; see metrics.certificate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse_convonet.mesh.expected_error import ERROR_68, ERROR_95, OBSERVED
from sparse_convonet.mesh.topology import face_areas
from sparse_convonet.metrics.certificate import Certificate, CertificateSums
from sparse_convonet.picture.storeys import Storey
from sparse_convonet.structures import Mesh


def certificate_sums(storeys: Sequence[Storey]) -> CertificateSums:
    """Of a mesh, to be filled."""
    return CertificateSums([storey.floor_z for storey in storeys], [storey.bottom_z for storey in storeys])


def certify(sums: CertificateSums, mesh: Mesh, upright: np.ndarray) -> None:
    """Add the faces of a mesh, or of a part of one, with its attributes.  upright: (V, 3) its vertices, metres, z up."""
    areas = np.zeros(len(mesh.vertices))
    for corner in mesh.faces.T:
        areas += np.bincount(corner, face_areas(mesh) / 3, len(areas))
    values = mesh.attributes
    observed, within_68, within_95 = values[OBSERVED] > 0, values[ERROR_68] / 1000, values[ERROR_95] / 1000
    sums.add(upright[:, 2], areas, observed, within_68, within_95)


def caption_of(title: str, certificate: Certificate, outline: np.ndarray, ends_z: tuple[float, float]) -> list[str]:
    """What the picture says of the mesh; nothing without a title.

    outline: (N, 3) upright, points that reach as far as the mesh in level directions.  ends_z: its lowest and highest z.
    """
    if not title:
        return []
    length, width = np.ptp(outline[:, :2], axis=0)
    count = len(certificate.storeys)
    size = f"{length:.1f} x {width:.1f} x {ends_z[1] - ends_z[0]:.1f} m"
    lines = [f"{title}: {count} storey{'s' * (count > 1)}, {size}"]
    if certificate.error_68_m is None or certificate.error_95_m is None:
        return [*lines, "no error can be told: no point is near the surface"]
    within_68, within_95 = (1000 * error for error in (certificate.error_68_m, certificate.error_95_m))
    lines.append(
        f"{100 * certificate.observed:.0f} % of the surface was seen; 68 % of that is expected within {within_68:.1f} mm "
        f"of the truth, 95 % within {within_95:.1f} mm ({certificate.level_of_accuracy})"
    )
    return lines
