"""Renderings of a model, img_choy2016/000.jpg ... with cameras.npz, read and written (Choy et al. 2016).

A point p of the model's frame (unit cube, y up) is seen at the pixel intrinsics @ (world_to_camera @ [p, 1]), after
division by the last of the three numbers, which is its depth.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import damaged, require_file, unreadable

FOLDER = "img_choy2016"
CAMERAS = "cameras.npz"
_VIEW = re.compile(r"(\d{3,})\.(jpg|jpeg|png)")
_FORMATS = ("JPEG", "PNG")  # no other decoder is opened
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class View:
    """image: (H, W, 3) uint8.  world_to_camera: (3, 4) float32, unit cube -> camera.  intrinsics: (3, 3) float32."""

    image: np.ndarray
    world_to_camera: np.ndarray
    intrinsics: np.ndarray


def find_views(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder img_choy2016 in the order of their numbers, which must run from 0 without a gap.

    Raises ValueError where there are none, or numbers are missing or there twice.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of renderings, found none; check the path")
    pictures = [(int(match[1]), entry) for entry in folder.iterdir() if (match := _VIEW.fullmatch(entry.name))]
    pictures.sort()
    numbers = [number for number, _ in pictures]
    if not numbers or numbers != list(range(len(numbers))):
        listed = ", ".join(f"{number:03d}" for number in numbers[:8]) or "none"
        raise ValueError(f"{folder}: expected pictures 000.jpg, 001.jpg, ..., found {listed}; complete the folder")
    return tuple(picture for _, picture in pictures)


def count_views(folder: Path) -> int:
    """How many pictures there are; raises as find_views does."""
    return len(find_views(folder))


def read_view(folder: Path, index: int) -> View:
    """Picture `index` and its camera, by number (the papers' loader counts in the order of the file system).

    Grey pictures become three equal channels, transparent ones lie on white.  Raises FileNotFoundError, or ValueError
    in one sentence for a view that is not there, a damaged file, or more pixels than PIL's own limit.
    """
    pictures = find_views(folder)
    if not 0 <= index < len(pictures):
        raise ValueError(f"{folder}: expected a view of 0 to {len(pictures) - 1}, found {index}; choose another")
    with ArrayArchive(folder / CAMERAS) as archive:
        world_to_camera = _read_matrix(archive, f"world_mat_{index}", (3, 4))
        intrinsics = _read_matrix(archive, f"camera_mat_{index}", (3, 3))
    return View(read_picture(pictures[index]), world_to_camera, intrinsics)


def _read_matrix(archive: ArrayArchive, name: str, shape: tuple[int, int]) -> np.ndarray:
    matrix = archive.read(name, "f", (2,))
    if matrix.shape != shape or not np.all(np.abs(matrix) <= np.finfo(np.float32).max):
        raise unreadable(archive.path, f"{name!r} of shape {shape} with finite numbers", f"shape {matrix.shape}")
    return matrix.astype(np.float32)


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of a JPEG or PNG, turned as its camera says; transparent ones lie on white, grey ones are grey.

    Raises FileNotFoundError, or ValueError in one sentence for another or a damaged file, or more pixels than PIL's limit.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # training on points does without it

    require_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                picture = ImageOps.exif_transpose(opened)
                if "A" in picture.getbands() or "transparency" in picture.info:
                    background = Image.new("RGBA", picture.size, _WHITE)
                    return np.array(Image.alpha_composite(background, picture.convert("RGBA")).convert("RGB"))
                return np.array(picture.convert("RGB"))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"a picture of at most {Image.MAX_IMAGE_PIXELS} pixels"
        raise unreadable(path, limit, "a larger one") from error
    except UnidentifiedImageError as error:
        raise unreadable(path, "a JPEG or PNG picture", "something else") from error
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:  # SyntaxError: PIL, for broken PNG
        raise damaged(path, "a JPEG or PNG picture", error) from error


def write_views(folder: Path, views: Sequence[View], suffix: str = ".jpg", quality: int = 95) -> None:
    """Write pictures 000, 001, ... and then cameras.npz; suffix .png keeps every pixel as it is.

    Raises ValueError for views that could not be read back.
    """
    from PIL import Image

    if suffix not in (".jpg", ".png"):
        raise ValueError(f"{folder}: expected pictures as .jpg or .png, found {suffix!r}")
    if not views:
        raise ValueError(f"{folder}: expected at least one view, found none")
    cameras: dict[str, np.ndarray] = {}
    for index, view in enumerate(views):
        expected = {"world_to_camera": (view.world_to_camera, (3, 4)), "intrinsics": (view.intrinsics, (3, 3))}
        for name, (matrix, shape) in expected.items():
            if np.shape(matrix) != shape or not np.isfinite(matrix).all():
                raise ValueError(f"{folder}: expected finite {name} {shape} of view {index}, found {np.shape(matrix)}")
        if view.image.dtype != np.uint8 or view.image.ndim != 3 or view.image.shape[2] != 3 or not view.image.size:
            found = f"{view.image.dtype} {view.image.shape}"
            raise ValueError(f"{folder}: expected a picture (H, W, 3) uint8 for view {index}, found {found}")
        cameras[f"world_mat_{index}"] = np.asarray(view.world_to_camera, dtype=np.float32)
        cameras[f"camera_mat_{index}"] = np.asarray(view.intrinsics, dtype=np.float32)
    folder.mkdir(exist_ok=True)
    for index, view in enumerate(views):
        with atomic_path(folder / f"{index:03d}{suffix}") as temporary:
            Image.fromarray(view.image).save(temporary, quality=quality)
    with atomic_path(folder / CAMERAS) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **cameras)
