"""What the benchmark of buildings consists of: which buildings, which scans of each, and how the folder lies on the disk.

buildings.json is a BuildingSet.  Each building has a folder of its name with truth.ply (the true surface, metres, z up),
stations.npy ((S, 3) float64, where the rays of the scores begin), hidden.npy ((H, 3) float32, true surface that no station
sees; not of meshes from elsewhere), and <scan>.npz with points, normals and scanners, as io/npz.py writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from sparse_convonet.runtime.atomic import atomic_path

SET_FILE = "buildings.json"
TRUTH_FILE, STATIONS_FILE, HIDDEN_FILE = "truth.ply", "stations.npy", "hidden.npy"
VERSION = 1  # of the protocol; scores of two versions are not comparable

PER_M2 = (200.0, 1000.0, 5000.0)  # points on a square metre of what the scanner sees
NOISE_M = (0.003, 0.010, 0.025)  # standard deviation along the ray, at the scanner

ScanKind = Literal["stations", "walk"]
KINDS: tuple[ScanKind, ...] = ("stations", "walk")
ScanChoice = Literal["some", "all"]


@dataclass(frozen=True)
class BuildingScan:
    """One scan of one building."""

    building: str
    kind: ScanKind
    per_m2: float
    noise_m: float

    @property
    def name(self) -> str:
        """Such as "walk_1000_10mm"."""
        return f"{self.kind}_{self.per_m2:g}_{1000 * self.noise_m:g}mm"

    @property
    def file(self) -> str:
        """Of the points, below the folder of the set."""
        return f"{self.building}/{self.name}.npz"


@dataclass(frozen=True)
class BuildingSet:
    """The buildings in their order, the scans of all of them, and what they were made with.

    source: by building, the seed of a generated one, or the name and the checksum of the mesh that was given.
    """

    source: dict[str, int | str]
    scans: tuple[BuildingScan, ...]
    choice: ScanChoice
    version: int = VERSION

    def save(self, folder: Path) -> None:
        with atomic_path(folder / SET_FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> BuildingSet:
        """Raises FileNotFoundError or ValueError where the folder holds no such set."""
        path = folder / SET_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: expected a set of buildings, found none; make one: sparse-convonet data buildings --out {folder}"
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["scans"] = tuple(BuildingScan(**each) for each in values["scans"])
            found = cls(**{each.name: values[each.name] for each in fields(cls)})
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}: expected what sparse-convonet data buildings writes, found something else; make it anew"
            ) from error
        if found.version != VERSION:
            raise ValueError(f"{path}: expected version {VERSION} of the protocol, found {found.version}; make it anew")
        return found


def scans_of(building: str, number: int, choice: ScanChoice) -> Iterator[BuildingScan]:
    """The scans of the building of that number.

    "all": every density with every noise, from stations and on a walk, 18.  "some": one of each density, whose noises and
    kinds take turns with the building, so that nine buildings in a row have every density with every noise.
    """
    for row, per_m2 in enumerate(PER_M2):
        for column, noise_m in enumerate(NOISE_M):
            taken = (row + number) % len(NOISE_M)
            for turn, kind in enumerate(KINDS):
                if choice == "all" or (column == taken and turn == (row + number // len(NOISE_M)) % len(KINDS)):
                    yield BuildingScan(building, kind, per_m2, noise_m)
