"""The mesh assembled from tiles on disk is that of the functions that hold it whole."""

from __future__ import annotations

import dataclasses
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.io.ply import write_ply
from sparse_convonet.mesh.cleanup import PieceRules
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.out_of_core.assembly.assemble import AssemblySettings, assemble
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths, WrittenMesh
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.tile_grid import TileName
from tests.mesh.analytic_fields import Field, box, sphere, union
from tests.out_of_core.analytic_tiles import TiledMesh
from tests.out_of_core.tiled_scenes import (
    ALL_PIECES,
    FRAME,
    RULES,
    SETTINGS,
    MemoryPoints,
    as_scanned,
    hollow,
    points_on,
    saved,
    small_things,
    tiled_mesh,
    whole_mesh,
)


def _assembled(
    folder: TileFolder, points: MemoryPoints, out: Path, settings: AssemblySettings = SETTINGS
) -> WrittenMesh:
    return assemble(folder, points, FRAME, settings, ResultPaths(out / "mesh.ply", out / "preview.png"))


def _scene(field: Field, rng: np.random.Generator, coloured: bool = True) -> tuple[TiledMesh, MemoryPoints]:
    tiled = tiled_mesh(field)
    assert len(tiled.tiles) >= 7
    bare = dataclasses.replace(SETTINGS, pieces=ALL_PIECES)
    nothing = MemoryPoints(np.zeros((0, 3)), None)
    mesh = whole_mesh(tiled, nothing, bare)[0]
    in_voxels = dataclasses.replace(mesh, vertices=FRAME.voxels.to_voxels(mesh.vertices))
    return tiled, points_on(in_voxels, 6000, rng, coloured)


def _winding() -> Field:
    """One pipe that leaves tiles and comes back to them."""
    turns = [box((-13.0, y, -0.4), (13.0, y + 1.2, 0.7)) for y in np.arange(-12.2, 12.0, 4.0)]
    ends = [
        box(((12.0 if n % 2 else -13.0), y, -0.4), ((13.0 if n % 2 else -12.0), y + 5.0, 0.7))
        for n, y in enumerate(np.arange(-12.2, 8.0, 4.0))
    ]
    return union(*turns, *ends)


@pytest.mark.parametrize(("scene", "coloured"), [("small things", True), ("winding", False), ("spheres", True)])
def test_mesh_file_is_byte_by_byte_that_of_the_whole_mesh(
    scene: str, coloured: bool, rng: np.random.Generator, tmp_path: Path
) -> None:
    fields = {"winding": _winding(), "spheres": union(sphere((0, 0, 0), 11.0), sphere((-8, 8, 8), 4.0))}
    tiled, points = _scene(small_things(rng) if scene == "small things" else fields[scene], rng, coloured)
    result = _assembled(saved(tiled, tmp_path / "tiles"), points, tmp_path)
    mesh, removed = whole_mesh(tiled, points)
    write_ply(tmp_path / "whole.ply", as_scanned(mesh))
    assert (tmp_path / "mesh.ply").read_bytes() == (tmp_path / "whole.ply").read_bytes()
    expected = mesh_statistics(as_scanned(mesh))
    assert dataclasses.replace(result.statistics, area=0.0) == dataclasses.replace(expected, area=0.0)
    assert result.statistics.area == pytest.approx(expected.area, rel=1e-12)
    assert expected.watertight
    assert result.removed_pieces == removed
    assert (removed > 3) == (scene == "small things")
    assert result.coverage == shares_within(points.points_world, mesh.vertices, mesh.faces, SETTINGS.distances_m)
    assert 0.3 < result.coverage[0] < result.coverage[1]


def _opened(tiled: TiledMesh, name: TileName, drop: np.ndarray) -> TiledMesh:
    """Without some faces of a tile, whose vertices stay."""
    mesh = tiled.tiles[name]
    return TiledMesh(tiled.grid, {**tiled.tiles, name: dataclasses.replace(mesh, faces=mesh.faces[~drop])})


@pytest.mark.parametrize("place", ["on the border", "within"])
def test_a_missing_face_opens_the_mesh(place: str, rng: np.random.Generator, tmp_path: Path) -> None:
    tiled, points = _scene(sphere((0.0, 0.0, 0.0), 11.0), rng, coloured=False)
    name = sorted(tiled.tiles)[0]
    mesh = tiled.tiles[name]
    foreign = (~mesh.own[mesh.faces]).sum(axis=1)
    drop = np.zeros(len(mesh.faces), dtype=bool)
    drop[np.flatnonzero(foreign == (2 if place == "on the border" else 0))[0]] = True
    tiled = _opened(tiled, name, drop)
    found = _assembled(saved(tiled, tmp_path / "tiles"), points, tmp_path).statistics
    expected = mesh_statistics(as_scanned(whole_mesh(tiled, points)[0]))
    assert not found.watertight and not expected.watertight
    assert found.euler_number == expected.euler_number


def test_a_face_doubled_in_another_tile_opens_the_mesh(rng: np.random.Generator, tmp_path: Path) -> None:
    tiled, points = _scene(sphere((0.0, 0.0, 0.0), 11.0), rng, coloured=False)
    # A face among vertices that two tiles share, one on either side: in its own tile each edge looks sound.
    for name, mesh in sorted(tiled.tiles.items()):
        rows = np.flatnonzero(~mesh.own)[:3]
        faces = np.concatenate([mesh.faces, [rows, rows[::-1]]]).astype(np.int32)
        twice = TiledMesh(tiled.grid, {**tiled.tiles, name: dataclasses.replace(mesh, faces=faces)})
        break
    found = _assembled(saved(twice, tmp_path / "tiles"), points, tmp_path).statistics
    expected = mesh_statistics(as_scanned(whole_mesh(twice, points)[0]))
    assert dataclasses.replace(found, area=0.0) == dataclasses.replace(expected, area=0.0)


class _Watched(TileFolder):
    """Counts how often meshes are loaded."""

    loads = 0

    def mesh(self, name: TileName) -> TileMesh:
        self.loads += 1
        return super().mesh(name)


def test_a_killed_run_goes_on_with_what_it_found_and_settings_that_change_start_over(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    tiled, points = _scene(small_things(rng), rng)
    saved(tiled, tmp_path / "tiles")

    class StopError(Exception):
        pass

    def stop(stage: str, share: float) -> None:
        if stage == "normals and colours" and share > 0.5:
            raise StopError

    paths = tmp_path / "mesh.ply", tmp_path / "preview.png"
    first = _Watched(tmp_path / "tiles", tiled.grid)
    with pytest.raises(StopError):
        assemble(first, points, FRAME, SETTINGS, ResultPaths(*paths), progress=stop)
    assert not any(path.exists() for path in paths)
    second = _Watched(tmp_path / "tiles", tiled.grid)
    assemble(second, points, FRAME, SETTINGS, ResultPaths(*paths))
    clean = _Watched(tmp_path / "clean", tiled.grid)
    saved(tiled, tmp_path / "clean")
    (tmp_path / "other").mkdir()
    _assembled(clean, points, tmp_path / "other")
    assert (tmp_path / "mesh.ply").read_bytes() == (tmp_path / "other" / "mesh.ply").read_bytes()
    assert clean.loads - second.loads > 1.4 * len(tiled.tiles)
    other = dataclasses.replace(SETTINGS, pieces=dataclasses.replace(RULES, crumbs=None))
    _assembled(second, points, tmp_path, other)
    write_ply(tmp_path / "whole.ply", as_scanned(whole_mesh(tiled, points, other)[0]))
    assert (tmp_path / "mesh.ply").read_bytes() == (tmp_path / "whole.ply").read_bytes()


def test_memory_does_not_grow_with_the_number_of_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the picture, what is held at once is a tile and what its neighbours share."""
    monkeypatch.setattr("sparse_convonet.out_of_core.assembly.assemble.StreamedPicture", _NoPicture)
    peaks: list[int] = []
    tiles: list[int] = []
    for rooms in (1, 1, 5):  # the first time for compilation
        middles = 20.0 * (np.arange(rooms) - rooms // 2)
        tiled = tiled_mesh(
            union(*[hollow((x - 9.0, -9.0, -5.0), (x + 8.0, 9.0, 6.0)) for x in middles]), (10 * rooms, 10, 8)
        )
        points = MemoryPoints(FRAME.voxels.to_world(np.zeros((1, 3))), None)
        folder = saved(tiled, tmp_path / str(len(peaks)))
        tiles.append(len(tiled.tiles))
        del tiled
        tracemalloc.start()
        _assembled(folder, points, tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert tiles[2] > 3 * tiles[1]
    assert peaks[2] < 1.3 * peaks[1]


class _NoPicture:
    def __init__(self, *_: object) -> None:
        pass

    def draw(self, mesh: object) -> None:
        pass

    def write(self, path: Path, caption: object) -> None:
        path.write_bytes(b"none")


def test_no_surface_and_tiles_that_do_not_fit_are_refused_in_one_sentence(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    tiled, points = _scene(sphere((0.0, 0.0, 0.0), 11.0), rng, coloured=False)
    folder = saved(tiled, tmp_path / "tiles")
    with pytest.raises(ValueError, match="the result has no surface: every piece of it .1. was removed"):
        _assembled(folder, points, tmp_path, dataclasses.replace(SETTINGS, pieces=PieceRules(1e6, None, None)))
    with pytest.raises(ValueError, match="the result has no surface: expected points that lie centimetres apart"):
        _assembled(TileFolder(tmp_path / "nothing", tiled.grid), points, tmp_path)
    last = sorted(tiled.tiles)[-1]
    mesh = tiled.tiles[last]
    torn = saved(TiledMesh(tiled.grid, {**tiled.tiles, last: dataclasses.replace(mesh, keys=mesh.keys + 8)}),
                 tmp_path / "torn")  # fmt: skip
    with pytest.raises(ValueError, match="expected the same vertices on the border between them, found others"):
        _assembled(torn, points, tmp_path)
    with pytest.raises(ValueError, match="expected distances above 0 m"):
        dataclasses.replace(SETTINGS, distances_m=())
