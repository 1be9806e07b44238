"""Tiles finished on the disk are the whole surface finished: cut where no point is near, refined, simplified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.encode.hints import directions_to_scanners
from sparse_convonet.extract.lattice import unpack_lattice
from sparse_convonet.extract.mise import extract_mesh
from sparse_convonet.extract.refine import approach, refine, without_flips
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.mesh.cleanup import remove_pieces
from sparse_convonet.mesh.normals import with_field_normals
from sparse_convonet.mesh.surface_cuts import SurfacePoints, cut_surface
from sparse_convonet.mesh.topology import face_areas, mesh_statistics, vertex_components
from sparse_convonet.out_of_core.assembly.assemble import assemble
from sparse_convonet.out_of_core.assembly.finishing import FinishedTiles, finish_tiles
from sparse_convonet.out_of_core.assembly.joined_tiles import join_tiles
from sparse_convonet.out_of_core.assembly.strips import Strips, surround
from sparse_convonet.out_of_core.assembly.tile_notes import TileNotes
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.progress import untold
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import Field, block_of_cells
from tests.oracles.same_surface import assert_same_surface
from tests.out_of_core.analytic_tiles import analytic_plan, search_analytic, value_and_gradient
from tests.out_of_core.tiled_scenes import CELL, FRAME, RULES, SETTINGS, VOXEL_M, MemoryPoints, small_things

STEPS = 3


class Scene:
    """A field across several tiles, searched on the disk and in one piece; points on a part of its surface."""

    def __init__(self, folder: Path) -> None:
        seeds, rng = block_of_cells(-16, 16), np.random.default_rng(3)
        # What moves vertices far, and turns some faces over: the surface is refined onto that of another field.
        self.field, self.target = small_things(rng), warped(small_things(np.random.default_rng(5)), rng)
        plan = analytic_plan(seeds, 2, 16, cell=CELL, refine_steps=STEPS, field_normals=True)
        self.folder, _ = search_analytic(Switched(self.field, self.target), seeds, plan, folder)
        self.raw = extract_mesh(self.field, seeds, 2, np.zeros((0, 3)), plan.extraction)
        corners = self.raw.vertices[rng.integers(0, len(self.raw.vertices), 9000)] + rng.normal(0, 0.2, (9000, 3))
        gap = np.abs(np.sin(0.55 * corners[:, 0]) + np.cos(0.35 * corners[:, 1])) < 0.5  # holes across borders
        self.points = MemoryPoints(FRAME.voxels.to_world(corners[~gap]), None)
        places = np.where(self.points.points_world[:, :1] < 3.2, [[3.0, -2.0, 1.5]], [[3.4, -1.8, 3.5]])
        places[::7] = np.nan
        self.seen = replace(self.points, scanners_world=places)

    @property
    def places(self) -> np.ndarray:
        return FRAME.voxels.snap_to_voxels(self.points.points_world)

    def whole(self, settings: ReconstructionSettings, with_scanners: bool = False) -> tuple[Mesh, int]:
        """In the order of Reconstructor, voxel coordinates."""
        mesh, removed = remove_pieces(self.raw, self.places, RULES, VOXEL_M)
        slopes = value_and_gradient(self.target)
        cut = settings.surface_cut(VOXEL_M)
        if cut is not None:
            directions = None
            if with_scanners:
                assert self.seen.scanners_world is not None
                directions = directions_to_scanners(self.seen.points_world, self.seen.scanners_world)[:, :3]
            mesh = cut_surface(mesh, SurfacePoints(self.places, directions), cut).mesh
        if settings.refine_steps:
            mesh = refine(mesh, slopes, settings.refine_steps, cell=CELL)
        if cut is not None:
            mesh, left_over = remove_pieces(mesh, self.places, RULES, VOXEL_M)
            removed += left_over
        if settings.field_normals:
            mesh = with_field_normals(mesh, lambda queries: slopes(queries)[1])
        return mesh, removed

    def finished(self, settings: ReconstructionSettings, with_scanners: bool = False) -> FinishedTiles:
        points = self.seen if with_scanners else self.points
        return finish_tiles(self.folder, points, FRAME, RULES, settings, untold)


def warped(field: Field, rng: np.random.Generator) -> Field:
    """A field that is rough by a cell."""
    waves = rng.normal(0, 2.5, (3, 3))

    def logits(queries: np.ndarray) -> np.ndarray:
        return (field(queries) + 0.4 * np.sin(queries.astype(np.float64) @ waves).sum(axis=1)).astype(np.float32)

    return logits


class Switched:
    """A field that is searched on, and whose differences, which are asked off the lattice, are those of another."""

    def __init__(self, searched: Field, refined: Field) -> None:
        self._searched, self._refined = searched, refined

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        on_lattice = (np.rint(queries / CELL) * CELL == queries).all(axis=1)
        return np.where(on_lattice, self._searched(queries), self._refined(queries))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Finished in many ways: what belongs to other settings must not be met."""
    return Scene(tmp_path_factory.mktemp("tiles"))


OBSERVED = ReconstructionSettings(observed_only_voxels=1.1)
INNER = ReconstructionSettings(surface="inner")
REFINED = ReconstructionSettings(refine_steps=STEPS)
ALL = ReconstructionSettings(observed_only_voxels=1.1, refine_steps=STEPS, field_normals=True)


@pytest.mark.parametrize("settings", [OBSERVED, REFINED, ReconstructionSettings(field_normals=True), ALL])
def test_tiles_finished_and_joined_are_the_whole_surface_finished(
    scene: Scene, settings: ReconstructionSettings, tmp_path: Path
) -> None:
    assert len(scene.folder.mesh_names()) >= 7
    expected, removed = scene.whole(settings)
    tiles = scene.finished(settings)
    found = join_tiles(tiles)
    np.testing.assert_array_equal(found.faces, expected.faces)  # also the order is that of one piece
    np.testing.assert_array_equal(found.vertices, expected.vertices)
    assert tiles.removed_pieces == removed > 3
    assert (found.normals is None) == (expected.normals is None) == (not settings.field_normals)
    if found.normals is not None and expected.normals is not None:
        np.testing.assert_allclose(found.normals, expected.normals, atol=1e-5)
    if settings.observed_only_voxels is not None:
        assert 0.2 * len(scene.raw.faces) < len(found.faces) < 0.9 * len(scene.raw.faces)
    if settings.refine_steps:
        moved = approach(scene.raw.vertices, value_and_gradient(scene.target), STEPS, cell=CELL, threshold=0.0)
        returned = (without_flips(scene.raw, moved) != moved).any(axis=1)
        assert returned.sum() > 20  # so faces around mattered


def test_vertices_on_borders_are_the_same_from_all_tiles(scene: Scene, tmp_path: Path) -> None:
    places: dict[int, bytes] = {}
    shared = 0
    tiles = scene.finished(REFINED)
    for name in tiles.folder.mesh_names():
        mesh = tiles.folder.mesh(name)
        for key, vertex in zip(mesh.keys.tolist(), mesh.vertices, strict=True):
            shared += key in places
            assert places.setdefault(key, vertex.tobytes()) == vertex.tobytes()
    assert shared > 500


@pytest.mark.parametrize("settings", [INNER, replace(ALL, observed_only_voxels=None, surface="inner")])
@pytest.mark.parametrize("with_scanners", [False, True])
def test_sides_that_were_not_seen_are_cut_from_tiles_as_from_the_whole(
    scene: Scene, settings: ReconstructionSettings, with_scanners: bool
) -> None:
    expected, removed = scene.whole(settings, with_scanners)
    tiles = scene.finished(settings, with_scanners)
    found = join_tiles(tiles)
    np.testing.assert_array_equal(found.vertices, expected.vertices)
    np.testing.assert_array_equal(found.faces, expected.faces)
    assert tiles.removed_pieces == removed > 3
    assert 0.2 * len(scene.raw.faces) < len(found.faces) < 0.95 * len(scene.raw.faces)
    assert len(expected.faces) != len(scene.whole(settings, not with_scanners)[0].faces)  # so scanners told something


@pytest.mark.parametrize("settings", [INNER, replace(OBSERVED, observed_only_voxels=0.5)])
def test_what_a_cut_leaves_has_no_piece_smaller_than_the_smallest(
    scene: Scene, settings: ReconstructionSettings
) -> None:
    found = join_tiles(scene.finished(settings))
    pieces = vertex_components(found.faces, len(found.vertices))
    areas = np.bincount(pieces[found.faces[:, 0]], face_areas(found)) * VOXEL_M**2
    assert areas.min() >= min(RULES.least_m2, 0.01 * areas.sum())
    cut = settings.surface_cut(VOXEL_M)
    assert cut is not None
    left = cut_surface(scene.raw, SurfacePoints(scene.places), cut).mesh
    assert vertex_components(left.faces, len(left.vertices)).max() > pieces.max()


@pytest.mark.parametrize("reach", [0.5, 0.8, 2.0])
def test_cuts_of_any_width_are_those_of_the_whole(scene: Scene, reach: float) -> None:
    cut = replace(OBSERVED, observed_only_voxels=reach)
    found, (expected, _) = join_tiles(scene.finished(cut)), scene.whole(cut)
    np.testing.assert_array_equal(found.vertices, expected.vertices)
    np.testing.assert_array_equal(found.faces, expected.faces)


@pytest.mark.parametrize("reach", [1, 10])
def test_strips_hold_all_faces_around_a_tile(scene: Scene, reach: int) -> None:
    strips = Strips(TileNotes(scene.folder, f"strip{reach}.npz", "test"), reach)
    meshes = {name: scene.folder.mesh(name) for name in scene.folder.mesh_names()}
    every = np.concatenate([mesh.keys[mesh.faces] for mesh in meshes.values()])
    places = unpack_lattice((every >> 2).ravel()).reshape(-1, 3, 3)
    for name, mesh in meshes.items():
        strips.write(name, mesh, np.ones(len(mesh.faces), dtype=bool), np.zeros(0, dtype=np.int64), {})
    for name, mesh in meshes.items():
        low, high = scene.folder.grid.box(name)
        around = surround(mesh.keys, mesh.faces, list(strips.around(name)))
        found = around.keys[around.faces]
        np.testing.assert_array_equal(found[: len(mesh.faces)], mesh.keys[mesh.faces])
        inside: np.ndarray = np.all((places >= low - reach) & (places <= high + reach), axis=2)
        wanted = every[np.any(inside, axis=1)]
        np.testing.assert_array_equal(np.unique(found, axis=0), np.unique(wanted, axis=0))
        assert len(found) == len(wanted)


@pytest.mark.parametrize("settings", [OBSERVED, ALL, INNER])
def test_the_mesh_file_of_finished_tiles_is_that_of_the_whole(
    scene: Scene, settings: ReconstructionSettings, tmp_path: Path
) -> None:
    chosen, paths = replace(SETTINGS, chosen=settings), (tmp_path / "mesh.ply", tmp_path / "preview.png")
    result = assemble(scene.folder, scene.points, FRAME, chosen, ResultPaths(*paths, tiles=tmp_path / "3d"))
    expected, removed = scene.whole(settings)
    expected = replace(expected, vertices=FRAME.scan.to_scan(FRAME.voxels.to_world(expected.vertices)), normals=None)
    assert_same_surface(read_mesh(paths[0]), expected)
    statistics = mesh_statistics(expected)
    assert replace(result.statistics, area=0.0) == replace(statistics, area=0.0)
    assert result.statistics.area == pytest.approx(statistics.area)
    assert result.removed_pieces == removed
    before = paths[0].read_bytes()
    assemble(scene.folder, scene.points, FRAME, chosen, ResultPaths(*paths))  # goes on with what is there
    assert paths[0].read_bytes() == before


def test_a_mesh_to_simplify_is_refused_where_it_does_not_fit_the_memory(scene: Scene, tmp_path: Path) -> None:
    settings = ReconstructionSettings(simplify_faces=2000)
    paths = tmp_path / "mesh.ply", tmp_path / "preview.png"
    with pytest.raises(
        ValueError, match=r"simplify: expected 0.7 GB of memory for the whole mesh of \d+ faces, found 0.5"
    ):
        assemble(
            scene.folder,
            scene.points,
            FRAME,
            replace(SETTINGS, chosen=settings, memory_bytes=500_000_000),
            ResultPaths(*paths),
        )
    assert not paths[0].exists()
    result = assemble(
        scene.folder,
        scene.points,
        FRAME,
        replace(SETTINGS, chosen=settings),
        ResultPaths(*paths, tiles=tmp_path / "3d"),
    )
    assert result.statistics.watertight and result.statistics.faces < 2200
    assert result.statistics == mesh_statistics(read_mesh(paths[0]))
    assert result.coverage[1] > 0.9 and (tmp_path / "3d" / "tileset.json").is_file()


def test_what_leaves_no_face_is_refused(scene: Scene, tmp_path: Path) -> None:
    far = MemoryPoints(scene.points.points_world + 500.0, None)
    paths = tmp_path / "mesh.ply", tmp_path / "preview.png"
    pieces = replace(RULES, crumbs=None)
    with pytest.raises(ValueError, match="the result has no surface"):
        assemble(scene.folder, far, FRAME, replace(SETTINGS, pieces=pieces, chosen=OBSERVED), ResultPaths(*paths))
