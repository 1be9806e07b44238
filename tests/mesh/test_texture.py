"""Textures: every face has a place of its own in the picture, and the picture shows there what the surface has."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.texture import Atlas, bake, unwrap
from sparse_convonet.mesh.texture_numba import fill_beside, owners_of_rows
from sparse_convonet.structures import Mesh


def _rough_box() -> Mesh:
    """4 x 3 x 2.5 m, of faces of 10 cm and less, with bumps of 2 cm."""
    box = trimesh.creation.box((4, 3, 2.5))
    vertices, faces = trimesh.remesh.subdivide_to_size(box.vertices, box.faces, 0.2)
    merged = trimesh.Trimesh(vertices, faces)
    rng = np.random.default_rng(0)
    return Mesh(np.asarray(merged.vertices) + rng.normal(0, 0.01, merged.vertices.shape), np.asarray(merged.faces))


def _ramp() -> Mesh:
    """A winding ramp of three turns, 2.4 m each, all of it on itself as seen from above."""
    turns = np.linspace(0, 6 * np.pi, 400)
    inner, outer = (
        np.column_stack([radius * np.cos(turns), radius * np.sin(turns), 2.4 * turns / (2 * np.pi)])
        for radius in (1.0, 2.5)
    )
    number = np.arange(len(turns) - 1)
    faces = np.concatenate(
        [np.stack([number, number + 400, number + 1], 1), np.stack([number + 1, number + 400, number + 401], 1)]
    )
    return Mesh(np.concatenate([inner, outer]), faces)


def _shares(atlas: Atlas) -> tuple[float, float]:
    """Of the texels that some face covers, the share that a second one covers as well; and what all faces cover, m2."""
    corners = atlas.places[atlas.faces]
    hits = np.zeros((atlas.height, atlas.width), dtype=int)
    for face in range(len(corners)):
        owner, _ = owners_of_rows(corners[face : face + 1], 0, atlas.height, atlas.width)
        hits += owner >= 0
    return float((hits > 1).sum() / (hits > 0).sum()), float((hits > 0).mean())


@pytest.mark.parametrize("mesh", [_rough_box(), _ramp()], ids=["box", "ramp"])
def test_faces_lie_beside_each_other_in_the_picture(mesh: Mesh) -> None:
    atlas = unwrap(mesh, 256)
    assert max(atlas.width, atlas.height) == 256 and len(atlas.faces) == len(mesh.faces)
    assert np.array_equal(atlas.rows[atlas.faces], mesh.faces)
    assert (atlas.places >= 0).all() and (atlas.places <= (atlas.width, atlas.height)).all()
    twice, filled = _shares(atlas)
    assert twice < 0.03 and filled > 0.3  # edges that texels lie on count for both of their faces


def test_a_rough_box_has_few_charts() -> None:
    assert unwrap(_rough_box(), 256).charts <= 20  # six sides, some of which bands cut


def _colours_at(places: np.ndarray) -> np.ndarray:
    return np.clip(40 * places + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mesh", [_rough_box(), _ramp()], ids=["box", "ramp"])
def test_the_picture_shows_on_each_face_what_is_there(mesh: Mesh, rng: np.random.Generator) -> None:
    atlas = unwrap(mesh, 512)
    texture = bake(atlas, mesh.vertices, _colours_at)
    assert texture.picture.shape == (atlas.height, atlas.width, 3)
    assert 0.3 < texture.covered / (atlas.height * atlas.width) < 1
    face = rng.integers(0, len(mesh.faces), 5000)
    weights = rng.dirichlet([1, 1, 1], 5000)
    in_picture = np.einsum("nk,nkd->nd", weights, atlas.places[atlas.faces[face]]).astype(int)
    in_space = np.einsum("nk,nkd->nd", weights, mesh.vertices[mesh.faces[face]])
    shown = texture.picture[in_picture[:, 1].clip(max=atlas.height - 1), in_picture[:, 0].clip(max=atlas.width - 1)]
    off = np.abs(shown.astype(int) - _colours_at(in_space)).max(axis=1)
    assert np.quantile(off, 0.97) <= 4 and np.median(off) <= 2  # a texel is some 2 cm, which is less than one step


def test_texels_beside_known_ones_take_their_mean() -> None:
    picture = np.zeros((3, 4, 3), dtype=np.uint8)
    picture[0, 0], picture[2, 0] = (10, 0, 0), (21, 0, 2)
    known = np.zeros((3, 4), dtype=bool)
    known[[0, 2], 0] = True
    filled, now = fill_beside(picture, known)
    assert filled[1, 0].tolist() == filled[1, 1].tolist() == [16, 0, 1]
    assert filled[0, 1].tolist() == [10, 0, 0] and now[:, :2].all() and not now[:, 2:].any()
    assert filled[0, 0].tolist() == [10, 0, 0] and not known[1].any()


def test_without_xatlas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(
        ValueError, match=r"a texture needs the package xatlas, which is not installed; run: pip install"
    ):
        unwrap(_rough_box(), 64)
