"""What a user may choose of a reconstruction, wherever it is done: whole in memory, or in tiles through the disk."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sparse_convonet.clouds.units import require_scale
from sparse_convonet.coordinates import ScanFrame, require_voxel_size, up_rotation
from sparse_convonet.mesh.cleanup import PieceRules, default_piece_rules
from sparse_convonet.mesh.finish import LEAST_FACES
from sparse_convonet.mesh.surface_cuts import FarCut, SurfaceCut, UnseenCut

CLOSED, INNER = SURFACES = "closed", "inner"


@dataclass(frozen=True)
class ReconstructionSettings:
    """What a user may choose; None leaves the choice to the plan or to the weights.

    voxel_size_m, cell_size_m: metres.  up: axis that points up in the scan, of coordinates.UP_AXES.  scale: metres per
    unit of the scan; None: metres, which Reconstructor.reconstruct and encode check.  threshold: tau, a probability.
    twice: encode the scan a second time with voxels moved by half a voxel, and take the mean of both: about a third more
    time, and what depends on where voxels happen to stand becomes rarer (docs/MEASURED.md).
    carve: where it is known where the scanner stood, nothing is in the space that its rays passed (fields/free_space.py).
    surface: "closed", what was not scanned is guessed; "inner", only sides that points show, and open behind them.
    observed_only_voxels, observed_only_m: cut surface farther from every point; at most one of them.  smallest_piece_m2:
    connected pieces of less surface are removed; None: less than 0.1 m2, or less than 2 m2 where few points show them, at
    most 1 % of the whole surface.
    simplify_faces / simplify_error_mm: at most one of them.
    refine_steps: steps that move vertices onto the field's surface.  field_normals: along the field's
    gradient; otherwise averaged over the faces around, which is faster and nearer to the truth (docs/MEASURED.md).
    memory_bytes: a scan that would take more goes through the disk, in tiles; None: most of what the machine can give.
    """

    voxel_size_m: float | None = None
    cell_size_m: float | None = None
    up: str = "z"
    scale: float | None = None
    threshold: float | None = None
    twice: bool = False
    carve: bool = True
    surface: str = CLOSED
    observed_only_voxels: float | None = None
    observed_only_m: float | None = None
    smallest_piece_m2: float | None = None
    simplify_faces: int | None = None
    simplify_error_mm: float | None = None
    refine_steps: int = 0
    field_normals: bool = False
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        require_scale(self.scale)
        if self.voxel_size_m is not None:
            require_voxel_size(self.voxel_size_m)
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(
                f"tau: expected a probability between 0 and 1, found {self.threshold:g}; leave it away for the model's"
            )
        if self.observed_only_voxels is not None and not 0 < self.observed_only_voxels < math.inf:
            raise ValueError(
                f"observed-only: expected a positive distance in voxels, found {self.observed_only_voxels}"
            )
        if self.observed_only_m is not None and not 0 < self.observed_only_m < math.inf:
            raise ValueError(f"observed-only: expected a positive distance in metres, found {self.observed_only_m}")
        if self.observed_only_voxels is not None and self.observed_only_m is not None:
            raise ValueError("observed-only: expected a distance in voxels or in metres, found both; give one")
        if self.surface not in SURFACES:
            raise ValueError(f"surface: expected {' or '.join(SURFACES)}, found {self.surface!r}")
        if self.surface == INNER and (self.observed_only_voxels is not None or self.observed_only_m is not None):
            raise ValueError("surface: expected inner or observed-only, found both; give one: inner is the stricter")
        if self.simplify_faces is not None and self.simplify_error_mm is not None:
            raise ValueError("simplify: expected a number of faces or an error in mm, found both; give one")
        if self.simplify_faces is not None and self.simplify_faces < LEAST_FACES:
            raise ValueError(f"simplify: expected at least {LEAST_FACES} faces to keep, found {self.simplify_faces}")
        if self.simplify_error_mm is not None and not self.simplify_error_mm > 0:
            raise ValueError(f"simplify: expected a positive error in mm, found {self.simplify_error_mm}")
        if self.refine_steps < 0:
            raise ValueError(f"refine: expected 0 or more steps, found {self.refine_steps}")
        if self.memory_bytes is not None and self.memory_bytes < 1:
            raise ValueError(f"memory: expected a positive number of bytes, found {self.memory_bytes}; give some GB")
        up_rotation(self.up)  # refuses other axes
        _ = self.piece_rules  # refuses other areas

    @property
    def metres_per_unit(self) -> float:
        """The scale, where it is left open that of metres."""
        return 1.0 if self.scale is None else self.scale

    @property
    def scan_frame(self) -> ScanFrame:
        """How the scan lies in the world."""
        return ScanFrame(self.up, self.metres_per_unit)

    @property
    def piece_rules(self) -> PieceRules:
        """Which connected pieces of the surface go."""
        if self.smallest_piece_m2 is None:
            return default_piece_rules()
        return PieceRules(self.smallest_piece_m2, None, None)

    def surface_cut(self, voxel_size_m: float) -> SurfaceCut | None:
        """Which faces go because no point shows them; None: none."""
        if self.surface == INNER:
            return UnseenCut()
        reach = self.observed_only_voxels if self.observed_only_m is None else self.observed_only_m / voxel_size_m
        return None if reach is None else FarCut(reach)

    @property
    def simplify_error_m(self) -> float | None:
        """simplify_error_mm in metres."""
        return None if self.simplify_error_mm is None else self.simplify_error_mm / 1000

    @property
    def simplifies(self) -> bool:
        """Whether fewer faces are asked for."""
        return self.simplify_faces is not None or self.simplify_error_mm is not None
