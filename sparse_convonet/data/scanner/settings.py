"""What kind of scanner looked at a building, and how badly: the settings of the virtual scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScannerSettings:
    """A scanner with its errors.  The defaults are a decent scanner; `ideal` has no errors, `draw` is for training.

    Sensor: ranges outside [min_range_m, max_range_m] are lost.  Noise acts along the ray with standard
    deviation noise_m + noise_per_metre * range, times 1 + incidence_gain * (1 - cosine of incidence).
    Where the cosine of incidence is below grazing_cosine nothing comes back.
    Panorama: elevations from lowest_deg to highest_deg; pole_crowding 0 spreads the rays evenly over
    the sphere, 1 evenly over the angles (as a rotating mirror does: dense at the poles).
    Head (walked path): a head of `rings` lasers over head_fov_deg turns revolutions_per_metre times
    per metre walked, while it sways by up to head_tilt_deg.
    """

    min_range_m: float = 0.2
    max_range_m: float = 20.0
    noise_m: float = 0.01
    noise_per_metre: float = 0.0005
    incidence_gain: float = 0.5
    grazing_cosine: float = 0.03
    outlier_share: float = 0.002  # of the returns: anywhere along the ray
    mixed_share: float = 0.3  # of the returns whose beam straddles an edge: between front and back
    beam_width_deg: float = 0.15
    shadows_per_station: float = 0.5  # mean number of cones of directions without returns
    patch_share: float = 0.02  # of the points: missing in patches of patch_size_m
    patch_size_m: float = 0.5
    glass_panes: int = 0  # upright panes that return almost nothing
    thinning: float = 0.3  # up to this share of the points is missing where the density is low
    registration_m: float = 0.003  # standard deviation of the offset of a station, or of the drift of a walk
    registration_deg: float = 0.03  # of the rotation of a station about the vertical
    quantum_m: float = 0.0  # coordinates are rounded to multiples; 0: not
    tilt_deg: float = 0.0  # of the whole scan against the vertical; moves the cloud away from its truth
    lowest_deg: float = -70.0
    highest_deg: float = 85.0
    pole_crowding: float = 0.5
    rings: int = 16
    head_fov_deg: float = 30.0
    head_tilt_deg: float = 30.0
    revolutions_per_metre: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_range_m < self.max_range_m:
            raise ValueError(
                "scanner range: expected 0 <= min_range_m < max_range_m, "
                f"found {self.min_range_m} and {self.max_range_m}"
            )
        if not -90 <= self.lowest_deg < self.highest_deg <= 90:
            raise ValueError(
                "scanner elevation: expected -90 <= lowest_deg < highest_deg <= 90, "
                f"found {self.lowest_deg} and {self.highest_deg}"
            )
        for name in ("outlier_share", "mixed_share", "patch_share", "thinning", "grazing_cosine", "pole_crowding"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"scanner {name}: expected a number from 0 to 1, found {getattr(self, name)}")
        for name in (
            "noise_m", "noise_per_metre", "incidence_gain", "beam_width_deg", "shadows_per_station", "glass_panes",
            "registration_m", "registration_deg", "quantum_m", "head_tilt_deg",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise ValueError(f"scanner {name}: expected zero or more, found {getattr(self, name)}")
        for name in ("patch_size_m", "rings", "head_fov_deg", "revolutions_per_metre"):
            if not getattr(self, name) > 0:
                raise ValueError(f"scanner {name}: expected more than zero, found {getattr(self, name)}")

    @classmethod
    def ideal(cls) -> ScannerSettings:
        """No errors at all: every ray of the whole sphere that meets something returns the exact point."""
        return cls(
            min_range_m=0.0, max_range_m=1000.0, noise_m=0.0, noise_per_metre=0.0, incidence_gain=0.0,
            grazing_cosine=0.0, outlier_share=0.0, mixed_share=0.0, shadows_per_station=0.0, patch_share=0.0,
            thinning=0.0, registration_m=0.0, registration_deg=0.0, lowest_deg=-90.0, highest_deg=90.0,
            pole_crowding=0.0,
        )  # fmt: skip

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ScannerSettings:
        """A random scanner of the training ranges, from a good terrestrial one to a bad handheld one.

        Tilt stays zero: it moves the cloud away from the truth, so training tilts both together.
        """
        return cls(
            min_range_m=rng.uniform(0.1, 0.5),
            max_range_m=_log_uniform(rng, 5.0, 30.0),
            noise_m=_log_uniform(rng, 0.003, 0.03),
            noise_per_metre=rng.uniform(0.0, 0.002),
            incidence_gain=rng.uniform(0.0, 1.0),
            grazing_cosine=rng.uniform(0.0, 0.1),
            outlier_share=rng.uniform(0.0, 0.01),
            mixed_share=rng.uniform(0.0, 0.6),
            beam_width_deg=rng.uniform(0.05, 0.4),
            shadows_per_station=rng.uniform(0.0, 2.0),
            patch_share=rng.uniform(0.0, 0.12),
            patch_size_m=_log_uniform(rng, 0.25, 1.0),
            glass_panes=int(rng.integers(0, 4)),
            thinning=rng.uniform(0.0, 0.8),
            registration_m=rng.uniform(0.0, 0.008),
            registration_deg=rng.uniform(0.0, 0.1),
            quantum_m=float(rng.choice([0.0, 0.001, 0.01], p=[0.5, 0.25, 0.25])),
            lowest_deg=rng.uniform(-85.0, -50.0),
            highest_deg=rng.uniform(45.0, 90.0),
            pole_crowding=rng.uniform(0.0, 1.0),
            rings=int(rng.choice([16, 32])),
            head_fov_deg=rng.uniform(30.0, 45.0),
            head_tilt_deg=rng.uniform(15.0, 60.0),
        )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
