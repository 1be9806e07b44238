"""The ways in which a program reconstructs scans, one after the other, with one model that it loaded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet import (
    ReconstructionSettings,
    Reconstructor,
    ScanRequest,
    read_points,
    reconstruct_scan,
    write_mesh,
)
from sparse_convonet.structures import Mesh
from tests.soak.rounds import Round
from tests.soak.scans import Inputs

SETTINGS = ReconstructionSettings(voxel_size_m=0.25)
_THROUGH_THE_DISK = 800_000_000  # bytes: less than a scan takes in one piece, enough for tiles
_QUERIES = np.random.default_rng(0).uniform(0, 1, (2000, 3))
_QUICK = (
    "in memory", "refused", "in memory", "tiles in memory", "in memory", "field", "in memory", "field of tiles",
    "in memory", "refused scan",
)  # fmt: skip
_LONG = ("scan", "scan through the disk", "everything")
_TURNS = (*_QUICK, _LONG[0], *_QUICK, _LONG[1], *_QUICK[:-1], _LONG[2])  # no more than there are formats
_EVERYTHING = 8  # in two of so many passes over the formats: it takes as long as 50 of the quick ones


@dataclass(frozen=True)
class Doors:
    """inputs: what is reconstructed, or refused.  reconstructor, tiled: in one piece, and through the disk."""

    inputs: Inputs
    reconstructor: Reconstructor
    tiled: Reconstructor

    @classmethod
    def open(cls, inputs: Inputs) -> Doors:
        whole = Reconstructor.from_pretrained("building", engine="native", settings=SETTINGS)
        tiled = Reconstructor(whole.model, replace(SETTINGS, memory_bytes=_THROUGH_THE_DISK))
        return cls(inputs, whole, tiled)

    def round(self, number: int) -> Round:
        """Reconstruction `number`.

        A pass goes through all formats and the turns, and the next begins one turn later, so that every format comes to
        every quick door.  The long ones have a format of their own for two passes, so that their results are compared.
        """
        passed, place = divmod(number, len(self.inputs.scans))
        door = _TURNS[(passed + place) % len(_TURNS)]
        if door == "everything" and passed % _EVERYTHING > 1:
            door = "in memory"
        if door.startswith("refused"):
            name = list(self.inputs.refused)[number % len(self.inputs.refused)]
            refused = self.inputs.refused[name]
            read = self._scan if door == "refused scan" else self._in_memory
            return Round(f"{door}, {name}", door, lambda out: _require_refusal(read, refused, out))
        if door in _LONG:
            place = passed // (_EVERYTHING if door == "everything" else 2) % len(self.inputs.scans)
        name = list(self.inputs.scans)[place]
        doors: dict[str, Callable[[Path, Path], None]] = {
            "in memory": self._in_memory, "tiles in memory": self._tiles_in_memory, "field": self._field,
            "field of tiles": self._field_of_tiles, "scan": self._scan, "everything": self._everything,
            "scan through the disk": self._scan_through_the_disk,
        }  # fmt: skip
        return Round(f"{door}, {name}", door, lambda out: doors[door](self.inputs.scans[name], out))

    def _in_memory(self, scan: Path, out: Path) -> None:
        _write(self.reconstructor, scan, out)

    def _tiles_in_memory(self, scan: Path, out: Path) -> None:
        _write(self.tiled, scan, out)

    def _field(self, scan: Path, out: Path) -> None:
        _ask(self.reconstructor, scan, out)

    def _field_of_tiles(self, scan: Path, out: Path) -> None:
        _ask(self.tiled, scan, out)

    def _scan(self, scan: Path, out: Path) -> None:
        reconstruct_scan(_request(scan, out))

    def _scan_through_the_disk(self, scan: Path, out: Path) -> None:
        reconstruct_scan(replace(_request(scan, out), work=out / "work", tiles=True))
        assert not (out / "work").exists(), "the folder of work stayed"

    def _everything(self, scan: Path, out: Path) -> None:
        request = replace(_request(scan, out), light=("glb", "obj", "stl"), page=True, pictures=True, floor_plan=True)
        reconstruct_scan(request)


def _request(scan: Path, out: Path) -> ScanRequest:
    return ScanRequest([scan], out, SETTINGS, up="z", engine="native")


def _write(reconstructor: Reconstructor, scan: Path, out: Path) -> None:
    cloud = read_points(scan)
    made = reconstructor.reconstruct(cloud.points, cloud.scanners)
    write_mesh(out / "mesh.ply", Mesh(np.asarray(made.vertices), np.asarray(made.faces)))


def _ask(reconstructor: Reconstructor, scan: Path, out: Path) -> None:
    points = read_points(scan).points
    field = reconstructor.encode(points)
    low, high = points.min(axis=0), points.max(axis=0)
    np.save(out / "occupancy.npy", field.occupancy(low + _QUERIES * (high - low)))


def _require_refusal(read: Callable[[Path, Path], None], scan: Path, out: Path) -> None:
    try:
        read(scan, out)
    except ValueError as error:
        said = str(error)
        assert said and said.isprintable(), f"expected one sentence, found {said!r}"
        assert not any(out.iterdir()), f"left {sorted(out.iterdir())[0]}"
        (out / "refusal.txt").write_text(said, encoding="utf-8")
        return
    raise AssertionError("expected a refusal, found a result")
