"""Make the benchmark of buildings: generated ones and meshes from elsewhere, and their virtual scans."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.coordinates import pack_cells
from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.data.scanner.stations import find_stations, find_walks
from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from sparse_convonet.data.scanner.wanted_points import scan_of_walks, scan_wanted
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations, walk_through
from sparse_convonet.evaluation.buildings.protocol import (
    HIDDEN_FILE,
    SET_FILE,
    STATIONS_FILE,
    TRUTH_FILE,
    BuildingScan,
    BuildingSet,
    ScanChoice,
    scans_of,
)
from sparse_convonet.evaluation.buildings.scoring import require_finite
from sparse_convonet.evaluation.scenes import in_metres
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.runtime.atomic import atomic_path, require_writable
from sparse_convonet.structures import Mesh, PointCloud

SPACING_M = 2.0  # of stations, at least; also of those from which scores are cast
_GENERATED = BuildingSettings(storeys=(2, 4), footprint_m=(7.0, 10.0), hall_share=0.5)
_WALK_STEP_M = 0.05
_SEEDS = 50  # tried for a building; one in many has no connected plan
_NOISE_PER_METRE_SHARE = 0.05  # noise grows by this share of it with each metre of range
_AREA_CELL_M, _AREA_RAYS, _OFF_ROUND = 0.1, 2_000_000, 0.3819
_HIDDEN_SAMPLES, _HIDDEN_M, _NEAR_M = 200_000, 0.10, 0.50
_MOST_HIDDEN = 20_000


@dataclass(frozen=True)
class _Building:
    """truth: metres, z up.  scene: of a generated one."""

    truth: Mesh
    scene: Scene | None


def make_set(
    folder: Path, generated: int, meshes: Sequence[Path], choice: ScanChoice, tell: Callable[[str], None]
) -> BuildingSet:
    """Write the set; what is there already stays.  meshes: of buildings, metres, z up, named by their stems.

    Raises ValueError where the folder holds scans of another set, two meshes have one name, or one cannot be scanned.
    """
    require_writable(folder)
    sources: dict[str, int | str] = {}
    for path in meshes:
        if path.stem in sources:
            raise ValueError(f"--mesh: expected different names, found {path.stem} twice; rename one")
        _given(path)
        sources[path.stem] = f"{path.name} {zlib.crc32(path.read_bytes()):08x}"
    library = FurnitureLibrary.load().split("test")
    made = {f"generated_{number:02}": _seed_of(number, library) for number in range(generated)}
    if doubled := sorted(set(made) & set(sources)):
        raise ValueError(
            f"--mesh: expected a name of its own, found {doubled[0]}, which a generated one has; rename it"
        )
    sources |= made
    scans = tuple(scan for number, name in enumerate(sources) for scan in scans_of(name, number, choice))
    wanted = BuildingSet(sources, scans, choice)
    known = BuildingSet.load(folder) if (folder / SET_FILE).is_file() else wanted
    if known != wanted and any((folder / scan.file).is_file() for scan in known.scans):
        raise ValueError(f"{folder}: holds a set of other buildings or scans; name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    wanted.save(folder)
    paths = {path.stem: path for path in meshes}
    for name, source in sources.items():
        left = [scan for scan in scans if scan.building == name and not (folder / scan.file).is_file()]
        if not left:
            continue
        if isinstance(source, int):
            scene = make_building(source, library, _GENERATED)
            building = _Building(Mesh(*scene.mesh()), scene)
        else:
            building = _Building(_given(paths[name]), None)
        _write_building(folder / name, building, left, tell)
    return wanted


def _given(path: Path) -> Mesh:
    """Raises ValueError, naming the file, where it is no mesh, or none in metres."""
    mesh = require_finite(path, read_mesh(path))
    try:
        return in_metres(mesh, None)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _seed_of(number: int, library: FurnitureLibrary) -> int:
    """The first seed of a building's own that gives one."""
    for seed in range(_SEEDS * number, _SEEDS * (number + 1)):
        try:
            make_building(seed, library, _GENERATED)
        except ValueError:
            continue
        return seed
    raise ValueError(f"no building among {_SEEDS} seeds; this is a fault of this release")


def _write_building(
    folder: Path, building: _Building, scans: Sequence[BuildingScan], tell: Callable[[str], None]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    truth, own_seed = building.truth, zlib.crc32(folder.name.encode())
    scanner = VirtualScanner(truth.vertices, truth.faces, threads=0)
    stations = _stations(building, np.random.default_rng(own_seed))
    ideal = scanner.scan_stations(
        stations, _AREA_RAYS // len(stations), ScannerSettings.ideal(), np.random.default_rng(own_seed)
    )
    area_m2 = seen_area_m2(ideal, _AREA_CELL_M)
    write_mesh(folder / TRUTH_FILE, truth)
    _save(folder / STATIONS_FILE, stations)
    if building.scene is not None:
        _save(folder / HIDDEN_FILE, _hidden(building.scene, ideal.points, np.random.default_rng(own_seed)))
    walks: list[np.ndarray] = []
    if any(scan.kind == "walk" for scan in scans):
        walks = _walks(building, np.random.default_rng(own_seed))
    for scan in scans:
        seed = [own_seed, *scan.name.encode()]
        places = walks if scan.kind == "walk" else list(stations)
        cast = partial(_cast, scanner, scan, places, seed)
        cloud = scan_wanted(cast, round(scan.per_m2 * area_m2), len(places), np.random.default_rng(seed), folder.name)
        write_points(folder / f"{scan.name}.npz", cloud)
        tell(f"{scan.building} {scan.name}: {len(cloud)} points on {area_m2:.0f} m2 that {len(stations)} stations see")


def _stations(building: _Building, rng: np.random.Generator) -> np.ndarray:
    """(S, 3)"""
    if building.scene is not None:
        return choose_stations(building.scene, rng, SPACING_M)
    return find_stations(building.truth.vertices, building.truth.faces, SPACING_M, rng, threads=0)


def _walks(building: _Building, rng: np.random.Generator) -> list[np.ndarray]:
    """(P, 3) each."""
    if building.scene is not None:
        return [walk_through(building.scene, rng, _WALK_STEP_M)]
    return find_walks(building.truth.vertices, building.truth.faces, SPACING_M, rng, threads=0)


def _cast(
    scanner: VirtualScanner, scan: BuildingScan, places: list[np.ndarray], seed: list[int], rays: int
) -> PointCloud:
    """The scan with about so many rays; places: walks (P, 3), or stations (3,)."""
    settings, rng = _settings_of(scan), np.random.default_rng([*seed, rays])
    if scan.kind == "walk":
        return scan_of_walks(scanner, places, rays, settings, rng)
    return scanner.scan_stations(np.stack(places), -(-rays // len(places)), settings, rng)


def _settings_of(scan: BuildingScan) -> ScannerSettings:
    return replace(ScannerSettings(), noise_m=scan.noise_m, noise_per_metre=_NOISE_PER_METRE_SHARE * scan.noise_m)


def seen_area_m2(cloud: PointCloud, edge_m: float) -> float:
    """The area of the surface that points with normals lie on, square metres.

    A plane with the unit normal n, laid anywhere through a grid of cells with that edge, cuts a cell that it cuts at all
    in edge^2 / (|n_x| + |n_y| + |n_z|) on average.  What is cut so little that no point lies there is missed.
    """
    assert cloud.normals is not None
    # Off round numbers, where floors lie: rounding would put their points into the cells on either side.
    keys = pack_cells(np.floor(cloud.points / edge_m + _OFF_ROUND).astype(np.int64))
    _, first = np.unique(keys, return_index=True)
    slope = np.abs(cloud.normals[first]).sum(axis=1)
    return float((edge_m**2 / np.maximum(slope, 1.0)).sum())


def _hidden(scene: Scene, seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, 3) float32: of the true surface, points 10 to 50 cm from all (N, 3) points that were seen."""
    surface, _ = scene.sample_surface(_HIDDEN_SAMPLES, rng)
    distance, _ = cKDTree(seen).query(surface, distance_upper_bound=_NEAR_M, workers=-1)
    hidden = surface[(distance > _HIDDEN_M) & np.isfinite(distance)]
    return hidden[:_MOST_HIDDEN].astype(np.float32)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def describe_set(found: BuildingSet) -> str:
    """Such as "14 buildings (12 generated), 42 scans"."""
    generated = sum(isinstance(source, int) for source in found.source.values())
    return f"{len(found.source)} buildings ({generated} generated), {len(found.scans)} scans"
