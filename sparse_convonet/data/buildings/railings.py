"""Railings and parapets along a straight line, level or rising."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scenes.assembly import Assembly


@dataclass(frozen=True)
class RailingStyle:
    """kind: "bars" (upright, close), "rails" (along, a few), "panel" (a sheet between posts) or "parapet" (solid)."""

    kind: str
    height: float
    post_spacing: float
    post: float  # diameter or side of the posts, metres
    round_posts: bool
    spacing: float  # between bars, or between rails
    bar: float  # diameter of bars and rails
    rail: float  # width of the handrail
    thickness: float  # of a panel or parapet

    @classmethod
    def draw(cls, rng: np.random.Generator) -> RailingStyle:
        kind = str(rng.choice(["bars", "rails", "panel", "parapet"], p=[0.4, 0.25, 0.15, 0.2]))
        return cls(
            kind=kind,
            height=float(rng.uniform(0.85, 1.15)),
            post_spacing=float(rng.uniform(0.9, 2.0)),
            post=float(rng.uniform(0.03, 0.08)),
            round_posts=bool(rng.random() < 0.5),
            spacing=float(rng.uniform(0.09, 0.2)),
            bar=float(rng.uniform(0.01, 0.03)),
            rail=float(rng.uniform(0.04, 0.09)),
            thickness=float(rng.uniform(0.06, 0.2) if kind == "parapet" else rng.uniform(0.008, 0.03)),
        )


def add_railing(assembly: Assembly, start: np.ndarray, end: np.ndarray, style: RailingStyle) -> None:
    """A railing whose foot runs from start to end, (3,) each."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    length = float(np.linalg.norm((end - start)[:2]))
    if length < 0.15:
        return
    up = np.array([0.0, 0.0, 1.0])
    top = style.height
    # Heights are meant plumb; the bars below are square to the slope.
    plumb = length / float(np.linalg.norm(end - start))
    if style.kind == "parapet":
        assembly.beam(start + up * (top / 2 - 0.05), end + up * (top / 2 - 0.05), style.thickness, (top + 0.1) * plumb)
        return
    assembly.beam(start + up * top, end + up * top, style.rail, 0.04)
    for share in np.linspace(0.0, 1.0, max(2, int(np.ceil(length / style.post_spacing)) + 1)):
        foot = start + (end - start) * np.clip(share, 0.5 * style.post / length, 1 - 0.5 * style.post / length)
        if style.round_posts:
            assembly.rod(foot - 0.02 * up, foot + top * up, style.post / 2)
        else:
            half = np.array([style.post, style.post, 0.0]) / 2
            assembly.box(foot - half - 0.02 * up, foot + half + top * up)
    if style.kind == "bars":
        for share in np.arange(style.spacing, length, style.spacing) / length:
            foot = start + (end - start) * share
            assembly.rod(foot + 0.07 * up, foot + top * up, style.bar / 2)
        assembly.beam(start + 0.08 * up, end + 0.08 * up, style.bar, 0.02)
    elif style.kind == "rails":
        for height in np.arange(0.12, top - 0.08, style.spacing):
            assembly.rod(start + height * up, end + height * up, style.bar / 2)
    else:
        middle = (top - 0.05) / 2 + 0.04
        assembly.beam(start + middle * up, end + middle * up, style.thickness, (top - 0.14) * plumb)
