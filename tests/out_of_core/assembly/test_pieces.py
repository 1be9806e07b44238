"""Pieces over tiles, and what is said of their borders, are those of the whole mesh."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.extract.lattice import pack_lattice
from sparse_convonet.mesh.cleanup import CrumbRule, remove_small_components, remove_unsupported
from sparse_convonet.mesh.topology import face_areas, vertex_components
from sparse_convonet.out_of_core.assembly.border_edges import check_border_edges, edges_along_border
from sparse_convonet.out_of_core.assembly.crumbs import without_unsupported
from sparse_convonet.out_of_core.assembly.pieces import Pieces, find_pieces, without_small
from sparse_convonet.out_of_core.assembly.tile_notes import TileNotes, tag_of
from sparse_convonet.tile_grid import TileGrid
from tests.mesh.analytic_fields import sphere, union
from tests.oracles.same_surface import joined_by_keys
from tests.out_of_core.analytic_tiles import VOXEL_M, TiledMesh
from tests.out_of_core.tiled_scenes import FRAME, MemoryPoints, saved, small_things, tiled_mesh


def _quiet(stage: str, share: float) -> None:
    assert stage and 0 <= share <= 1


def _found(tiled: TiledMesh, path: Path) -> Pieces:
    return find_pieces(saved(tiled, path), _quiet)


@pytest.mark.parametrize("least_share", [None, 0.004])
def test_pieces_and_their_counts_are_those_of_the_joined_mesh(
    least_share: float | None, rng: np.random.Generator, tmp_path: Path
) -> None:
    tiled = tiled_mesh(small_things(rng), tile=8)
    pieces = without_small(_found(tiled, tmp_path), 25.0, least_share)
    every = joined_by_keys(tiled.tiles)
    least = 25.0 if least_share is None else min(25.0, least_share * float(face_areas(every).sum()))
    whole = remove_small_components(every, min_area=least)
    mesh = whole.mesh
    labels = vertex_components(mesh.faces, len(mesh.vertices))
    areas = np.bincount(labels[mesh.faces[:, 0]], face_areas(mesh))
    first = pieces.first_places()[pieces.kept]
    np.testing.assert_allclose(pieces.areas[pieces.kept][np.argsort(first)], areas, rtol=1e-12)
    assert np.count_nonzero(~pieces.kept) == whole.removed_components > 2
    assert pieces.per_tile(pieces.vertices).sum() == len(mesh.vertices)
    assert pieces.per_tile(pieces.faces).sum() == len(mesh.faces)
    stays = pieces.kept[pieces.piece_of]
    assert pieces.low[stays, 2].min() == mesh.vertices[:, 2].min()
    assert pieces.high[stays, 2].max() == mesh.vertices[:, 2].max()


# On a corner of eight tiles, on borders of two, in the middle of one; two so close that points lie between them.
BALLS = [(-8.1, -8.0, 8.1), (-8.0, 0.3, 0.4), (-7.9, 4.6, 0.4), (0.2, -8.2, 0.1), (1.0, 1.0, 0.4), (8.0, 8.1, -2.0)]


@pytest.mark.parametrize("tile", [8, 16])
@pytest.mark.parametrize("seed", range(3))
def test_small_pieces_on_borders_go_and_stay_as_in_the_whole_mesh(seed: int, tile: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    tiled = tiled_mesh(union(*[sphere(ball, 1.9) for ball in BALLS], sphere((13.0, -9.0, -8.0), 5.0)), tile=tile)
    grid, tiles = tiled.grid, dict(tiled.tiles)
    mesh = joined_by_keys(tiles)
    near = mesh.vertices[rng.integers(0, len(mesh.vertices), 4000)] + rng.normal(0, 0.3, (4000, 3))
    ball = np.linalg.norm(near[:, None] - np.array(BALLS), axis=2).argmin(axis=1)
    near = near[(near[:, 0] > 9) | (rng.random(4000) < rng.uniform(0.1, 0.9, len(BALLS))[ball])]
    near = np.concatenate([near, np.array([BALLS[1], BALLS[2]]).mean(axis=0) + rng.normal(0, 0.3, (150, 3))])
    points = MemoryPoints(FRAME.voxels.to_world(near), None)
    # The balls are small, and strays as well if they lie more than 8 voxels beside the large one.
    rule = CrumbRule(
        5.0, 0.5, 0.6, 0.5, stray_m=8 * VOXEL_M, stray_m2=9.0, stray_large_share=0.2, stray_points_share=0.75
    )
    pieces = find_pieces(saved(TiledMesh(grid, tiles), tmp_path), _quiet)
    found = without_unsupported(pieces, saved(TiledMesh(grid, tiles), tmp_path), points, FRAME, rule, _quiet)
    places = FRAME.voxels.snap_to_voxels(points.points_world)
    whole = remove_unsupported(mesh, places, rule, FRAME.voxels.voxel_size_m)
    assert np.count_nonzero(~found.kept) == whole.removed_components
    assert 0 < whole.removed_components < len(BALLS)
    assert found.per_tile(found.vertices).sum() == len(whole.mesh.vertices)
    assert found.areas[~found.kept].sum() == pytest.approx(whole.removed_area)


def test_without_points_or_small_pieces_all_stay(tmp_path: Path) -> None:
    tiled = tiled_mesh(sphere((0.0, 0.0, 0.0), 6.0))
    folder = saved(tiled, tmp_path)
    pieces = find_pieces(folder, _quiet)
    rule = CrumbRule(1.0, 0.5, 0.5, 0.5)
    for points in (np.zeros((0, 3)), np.ones((5, 3))):
        assert without_unsupported(pieces, folder, MemoryPoints(points, None), FRAME, rule, _quiet).kept.all()


def _key(point: tuple[int, int, int], axis: int) -> int:
    return int(pack_lattice(np.array([point]))[0] << 2) + axis


def test_edges_on_a_border_are_sound_where_two_faces_run_along_them_in_opposite_directions() -> None:
    grid = TileGrid((0, 0, 0), (8, 8, 8))
    keys = np.array(sorted([_key((8, 1, 1), 1), _key((8, 1, 1), 2), _key((8, 2, 1), 2), _key((3, 3, 3), 0)]))
    on_border = keys != _key((3, 3, 3), 0)
    inner = int(np.flatnonzero(~on_border)[0])
    a, b, c = np.flatnonzero(on_border)
    one = edges_along_border(np.array([[a, b, inner], [b, c, inner]]), on_border, keys)
    other = edges_along_border(np.array([[b, a, inner], [c, b, inner]]), on_border, keys)
    assert one.tolist() == [[keys[a], keys[b]], [keys[b], keys[c]]]
    assert check_border_edges([one, other], grid, (1, 0, 0)) == (2, True)
    assert check_border_edges([one, other], grid, (0, 0, 0)) == (0, True)  # another tile's to check
    assert check_border_edges([one], grid, (1, 0, 0)) == (2, False)
    assert check_border_edges([one, one], grid, (1, 0, 0)) == (2, False)
    assert check_border_edges([one, other, one, other], grid, (1, 0, 0)) == (2, False)
    assert check_border_edges([], grid, (1, 0, 0)) == (0, True)


def test_notes_of_another_tag_count_as_missing(tmp_path: Path) -> None:
    folder = saved(tiled_mesh(sphere((0.0, 0.0, 0.0), 3.0)), tmp_path)
    name = folder.mesh_names()[0]
    notes = TileNotes(folder, "notes.npz", tag_of(1.5, np.arange(3), None))
    assert not notes.has(name)
    notes.write(name, {"values": np.arange(4)})
    assert notes.has(name)
    assert notes.read(name, "values")[0].tolist() == [0, 1, 2, 3]
    for other in (tag_of(1.5, np.arange(4), None), tag_of(1.5, None, np.arange(3)), tag_of(1, np.arange(3), None)):
        assert not dataclasses.replace(notes, tag=other).has(name)


def test_a_scan_without_surface_has_no_pieces(tmp_path: Path) -> None:
    pieces = _found(TiledMesh(TileGrid((0, 0, 0), (8, 8, 8)), {}), tmp_path / "none")
    assert len(pieces.kept) == len(pieces.names) == 0
    assert not without_small(pieces, 1.0, 0.5).kept.any()
