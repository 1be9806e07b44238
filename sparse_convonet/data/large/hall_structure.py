"""What large halls are built with: columns, beams and trusses, galleries with stairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.data.buildings.railings import RailingStyle, add_railing
from sparse_convonet.data.large.interiors import Interior, add_column
from sparse_convonet.data.scenes.place import Place

_MOST_COLUMNS = 60
_MOST_BARS = 60  # of a railing; longer ones have rails or panels
_HEADROOM_M = 2.1


def draw_railing(rng: np.random.Generator, length: float) -> RailingStyle:
    """A railing for a line of that many metres, without close bars where they would be very many."""
    style = RailingStyle.draw(rng)
    if style.kind == "bars" and length / style.spacing > _MOST_BARS:
        style = replace(style, kind="rails", spacing=float(rng.uniform(0.2, 0.5)))
    return replace(style, post_spacing=max(style.post_spacing, length / 40))


def add_columns(interior: Interior, rng: np.random.Generator) -> None:
    """Columns from floor to roof in a grid, square or round, sometimes on bases."""
    half, pitch = float(rng.uniform(0.08, 0.5)), rng.uniform(3.0, 10.0, 2)
    counts = np.maximum(1, np.floor(interior.size / pitch)).astype(int)
    while counts.prod() > _MOST_COLUMNS:
        counts[counts.argmax()] -= 1
    round_ones, base = rng.random() < 0.5, float(rng.choice([0.0, rng.uniform(0.05, 0.3)]))
    for index in np.ndindex(*counts):
        planar = interior.low + interior.size * (np.array(index) + 0.5) / counts
        if interior.claim(planar, np.full(2, half + base)):
            add_column(interior.assembly, planar, half, (0.0, interior.height), round_ones)
            if base:
                add_column(interior.assembly, planar, half + base, (0.0, 0.3), False)


def add_beams(interior: Interior, rng: np.random.Generator) -> None:
    """Beams or trusses from wall to wall across the shorter side, right below the roof; none under the sky."""
    if not interior.roof:
        return
    size = interior.size
    along = int(size.argmax())
    count = int(np.clip(size[along] / rng.uniform(2.5, 8.0), 1, 14))
    depth = float(min(rng.uniform(0.15, 1.2), 0.25 * interior.height))
    width, truss = float(rng.uniform(0.06, 0.4)), bool(rng.random() < 0.5 and depth > 0.4)
    ends = interior.low[1 - along], interior.low[1 - along] + size[1 - along]
    top = interior.height

    def at(share: float, across: float, z: float) -> np.ndarray:
        planar = np.array([interior.low[along] + share * size[along], across])
        return np.array([*(planar if along == 0 else planar[::-1]), z])

    for number in range(count):
        share = (number + 0.5) / count
        if not truss:
            middle = top - depth / 2
            interior.assembly.beam(at(share, ends[0], middle), at(share, ends[1], middle), width, depth)
            continue
        bar = min(width, 0.12) / 2
        for z in (top - bar, top - depth):
            interior.assembly.rod(at(share, ends[0], z), at(share, ends[1], z), bar)
        stations = np.linspace(*ends, int(np.clip((ends[1] - ends[0]) / (2 * depth), 2, 9)))
        for step, (first, second) in enumerate(zip(stations[:-1], stations[1:], strict=True)):
            lower, upper = (top - depth, top - bar)[:: 1 if step % 2 else -1]
            interior.assembly.rod(at(share, first, lower), at(share, second, upper), bar * 0.7)


def add_gallery(interior: Interior, rng: np.random.Generator) -> None:
    """A platform on columns along one wall, with a railing, a block of stairs and a place to stand."""
    if interior.height < 2 * _HEADROOM_M + 0.5 or interior.size.min() < 5.0:
        return
    slab = float(rng.uniform(0.15, 0.35))
    z = float(rng.uniform(_HEADROOM_M + slab, interior.height - _HEADROOM_M))
    depth = float(rng.uniform(1.5, min(8.0, 0.4 * interior.size.min())))
    (x0, y0), (x1, y1) = interior.low, interior.low + interior.size
    if rng.random() < 0.5:
        strip, edge = (x0, y0, x1, y0 + depth), (np.array([x0, y0 + depth, z]), np.array([x1, y0 + depth, z]))
    else:
        strip, edge = (x0, y0, x0 + depth, y1), (np.array([x0 + depth, y0, z]), np.array([x0 + depth, y1, z]))
    interior.assembly.box([*strip[:2], z - slab], [*strip[2:], z])
    length = float(np.linalg.norm(edge[1] - edge[0]))
    add_railing(interior.assembly, *edge, draw_railing(rng, length))
    posts = int(np.clip(length / rng.uniform(2.5, 6.0), 1, 12))
    half, inward = float(rng.uniform(0.05, 0.2)), np.array([0.0, -0.25] if strip[2] == x1 else [-0.25, 0.0])
    for share in (np.arange(posts) + 0.5) / posts:
        planar = (edge[0] + share * (edge[1] - edge[0]))[:2] + inward
        if interior.claim(planar, np.full(2, half)):
            add_column(interior.assembly, planar, half, (0.0, z - slab), bool(rng.random() < 0.5))
    _stairs(interior, edge, z, rng)
    interior.assembly.places.append(Place("gallery", np.array([strip]), z, interior.height - z, storey=1))


def _stairs(interior: Interior, edge: tuple[np.ndarray, np.ndarray], z: float, rng: np.random.Generator) -> None:
    """Steps from the floor up to the beginning of the edge of a gallery, away from it."""
    steps, tread, width = int(np.ceil(z / 0.18)), float(rng.uniform(0.22, 0.3)), float(rng.uniform(0.8, 1.6))
    along = (edge[1] - edge[0]) / np.linalg.norm(edge[1] - edge[0])
    away = np.array([along[1], along[0], 0.0])
    run = steps * tread
    centre = edge[0] + along * (width / 2 + 0.05) + away * run / 2
    half = np.abs(along * width / 2 + away * run / 2)
    if not interior.claim(centre[:2], half[:2]):
        return
    for step in range(steps):
        corner = edge[0] + along * 0.05 + away * step * tread
        opposite = edge[0] + along * (0.05 + width) + away * (step + 1) * tread
        top = z * (steps - step) / (steps + 1)
        interior.assembly.box([*corner[:2], max(0.0, top - 0.5)], [*opposite[:2], top])
