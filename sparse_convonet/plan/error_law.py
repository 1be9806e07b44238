"""The errors that a model was measured to make, as a law of density, noise and voxel size with few coefficients."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from sparse_convonet.runtime.atomic import atomic_path

GAP_M = 0.10  # no distance counts more: what is missing is so far away
SHIPPED = "voxel_errors.json"
_VOXEL_M = 0.05  # at which the coefficients are what they say


@dataclass(frozen=True)
class Coefficients:
    """Of the law; h: voxel size over 5 cm, d: points per square metre, s: noise in metres.  All above zero.

    Share of the surface that is missing, between points 1 / (1 + (d h^sparse_size / sparse_per_m2)^sparse_power), and at
    edges and thin things edge_share h.  Distance of the rest in metres: voxel_m h^voxel_power, for the noise
    noise_factor s (s / voxel size)^noise_power, and for the spacing of the points spacing_factor / sqrt(d).
    """

    sparse_per_m2: float
    sparse_size: float
    sparse_power: float
    edge_share: float
    voxel_m: float
    voxel_power: float
    noise_factor: float
    noise_power: float
    spacing_factor: float


@dataclass(frozen=True)
class ErrorLaw:
    """model: whose errors.  command: that measured them.  rows: how many measurements the law follows from.  misfit: half
    of them are that near to it, as a ratio less one."""

    model: str
    command: str
    rows: int
    misfit: float
    coefficients: Coefficients

    def save(self, path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ErrorLaw:
        """Raises ValueError where the file is no such law."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**values, "coefficients": Coefficients(**values["coefficients"])})
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}: expected a law of errors by tools/fit_voxel_sizes.py, found {error!r}; make it anew"
            ) from error


@dataclass(frozen=True)
class ExpectedError:
    """missing: share of the surface without mesh, which counts as gap_m away.  near_m: how far the rest is from the mesh
    on average.  Metres."""

    missing: float
    near_m: float
    gap_m: float = GAP_M

    @property
    def mean_m(self) -> float:
        """Over all of the surface."""
        return self.gap_m * self.missing + (1 - self.missing) * self.near_m

    def scaled(self, scale: float) -> ExpectedError:
        """Of a thing that is so many times as large."""
        return ExpectedError(self.missing, scale * self.near_m, scale * self.gap_m)


def expected_error(
    law: Coefficients, per_m2: np.ndarray, area: np.ndarray, noise_m: float, voxel_size_m: float
) -> ExpectedError:
    """Averaged over surface with (n,) points per square metre, each of an (n,) area in any unit."""
    size = voxel_size_m / _VOXEL_M
    between = 1 / (1 + (per_m2 * size**law.sparse_size / law.sparse_per_m2) ** law.sparse_power)
    present = (1 - between) * max(0.0, 1 - law.edge_share * size)  # (n,)
    near_m = (
        law.voxel_m * size**law.voxel_power
        + law.noise_factor * noise_m * (noise_m / voxel_size_m) ** law.noise_power
        + law.spacing_factor / np.sqrt(per_m2)
    )
    seen = float(present @ area)
    near = float((present * area) @ np.minimum(GAP_M, near_m)) / seen if seen else GAP_M
    return ExpectedError(1 - seen / float(area.sum()), near)


@cache
def shipped_law() -> ErrorLaw:
    """That of the default model."""
    return ErrorLaw.load(Path(str(resources.files("sparse_convonet") / "pretrained" / SHIPPED)))
