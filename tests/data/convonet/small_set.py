"""A small data set in the papers' format: points and queries written with numpy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.data.convonet.binvox import Voxels, write_binvox
from sparse_convonet.data.convonet.renderings import View, write_views

POINTS, QUERIES = 400, 500


def write_model(folder: Path, number: int, files: int = 3, dtype: type = np.float16) -> None:
    """A ball of radius 0.2 + number / 100, several files of points and of packed occupancies."""
    radius = 0.2 + number / 100
    rng = np.random.default_rng(number)
    (folder / "pointcloud").mkdir(parents=True)
    (folder / "points_iou").mkdir()
    for file in range(files):
        normals = rng.normal(size=(POINTS, 3))
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        np.savez(
            folder / "pointcloud" / f"pointcloud_{file:02d}.npz",
            points=(radius * normals).astype(dtype),
            normals=normals.astype(dtype),
        )
        queries: np.ndarray = rng.uniform(-0.55, 0.55, (QUERIES, 3)).astype(dtype)
        inside = np.linalg.norm(queries.astype(np.float64), axis=1) < radius
        np.savez(folder / "points_iou" / f"points_iou_{file:02d}.npz", points=queries, occupancies=np.packbits(inside))


def write_set(root: Path, models: int = 5, classes: tuple[str, ...] = ("a", "b"), dtype: type = np.float16) -> Path:
    """Each class has `models` models, all in train, the last one in val as well."""
    for start, name in enumerate(classes):
        for number in range(models):
            write_model(root / name / f"m{number}", start * models + number, dtype=dtype)
        (root / name / "train.lst").write_text("\n".join(f"m{number}" for number in range(models)))
        (root / name / "val.lst").write_text(f"m{models - 1}\n")
    return root


def show_balls(root: Path, voxels: int = 32, pixels: int = 40) -> Path:
    """Give the models of a set that write_set made their voxels, and two pictures each: what networks may be shown."""
    centres = (np.argwhere(np.ones((voxels,) * 3)) + 0.5) / voxels - 0.5
    rows, columns = np.mgrid[:pixels, :pixels] / pixels - 0.5
    for model in root.glob("*/m*"):
        with np.load(model / "pointcloud" / "pointcloud_00.npz") as stored:
            radius = float(np.linalg.norm(stored["points"].astype(np.float64), axis=1).mean())
        inside = (np.linalg.norm(centres, axis=1) < radius).reshape((voxels,) * 3)
        write_binvox(model / "model.binvox", Voxels(inside, (-0.5, -0.5, -0.5), 1.0))
        disc = np.where((np.hypot(rows, columns) < radius)[..., None], (120, 120, 130), 255).astype(np.uint8)
        write_views(model / "img_choy2016", [View(disc, np.eye(3, 4), np.eye(3))] * 2, ".png")
    return root
