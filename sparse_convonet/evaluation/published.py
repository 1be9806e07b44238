"""The tables of the papers, to stand beside measured rows.

Peng et al., Convolutional Occupancy Networks, ECCV 2020: tables of section 4 and the supplementary.  Chamfer-L1 is in
tenths of the cube's side, F-scores at 1 % (ScanNet: 1.5 %).
"""

from __future__ import annotations

from dataclasses import dataclass

PUBLISHED_CELLS = 128  # of the meshes, along the padded cube
_SCANNET_F = 0.015


@dataclass(frozen=True)
class PublishedRow:
    """A row as printed; None where the paper has none.  f_threshold: of the F-score, in sides of the cube."""

    name: str
    iou: float | None
    chamfer_l1_x10: float | None
    normal_consistency: float | None
    f_score: float | None
    f_threshold: float = 0.01


ROOMS = (
    PublishedRow("ONet", 0.475, 0.203, 0.783, 0.541),
    PublishedRow("PointConv", 0.523, 0.165, 0.811, 0.790),
    PublishedRow("Screened Poisson", None, 0.223, 0.866, 0.810),
    PublishedRow("Screened Poisson, trimmed", None, 0.069, 0.890, 0.892),
    PublishedRow("1 plane 128^2", 0.795, 0.047, 0.889, 0.937),
    PublishedRow("3 planes 128^2", 0.805, 0.044, 0.903, 0.948),
    PublishedRow("grid 32^3", 0.782, 0.047, 0.902, 0.941),
    PublishedRow("grid 64^3", 0.849, 0.042, 0.915, 0.964),
    PublishedRow("3 planes 128^2 + grid 32^3", 0.816, 0.044, 0.905, 0.952),
)
SCANNET = (
    PublishedRow("ONet", None, 0.398, None, 0.390, _SCANNET_F),
    PublishedRow("PointConv", None, 0.316, None, 0.439, _SCANNET_F),
    PublishedRow("Screened Poisson", None, 0.293, None, 0.731, _SCANNET_F),
    PublishedRow("Screened Poisson, trimmed", None, 0.086, None, 0.847, _SCANNET_F),
    PublishedRow("1 plane 128^2", None, 0.139, None, 0.747, _SCANNET_F),
    PublishedRow("3 planes 128^2", None, 0.142, None, 0.776, _SCANNET_F),
    PublishedRow("grid 32^3", None, 0.095, None, 0.837, _SCANNET_F),
    PublishedRow("grid 64^3", None, 0.077, None, 0.886, _SCANNET_F),
    PublishedRow("3 planes 128^2 + grid 32^3", None, 0.099, None, 0.847, _SCANNET_F),
)
SHAPENET = (
    PublishedRow("PointConv", 0.689, 0.126, 0.858, 0.644),
    PublishedRow("ONet", 0.761, 0.087, 0.891, 0.785),
    PublishedRow("1 plane 64^2", 0.833, 0.059, 0.914, 0.887),
    PublishedRow("3 planes 64^2", 0.884, 0.044, 0.938, 0.942),
    PublishedRow("grid 32^3", 0.870, 0.048, 0.937, 0.933),
)
VOXELS = (
    PublishedRow("input", 0.631, 0.136, 0.810, 0.440),
    PublishedRow("ONet", 0.703, 0.110, 0.879, 0.656),
    PublishedRow("1 plane", 0.652, 0.145, 0.861, 0.592),
    PublishedRow("3 planes", 0.752, 0.092, 0.905, 0.735),
    PublishedRow("grid 32^3", 0.752, 0.091, 0.912, 0.729),
)
TABLES = {"rooms": ROOMS, "scannet": SCANNET, "shapenet": SHAPENET, "voxels": VOXELS}
