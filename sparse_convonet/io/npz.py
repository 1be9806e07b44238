"""Read and write points as numpy arrays: .npz and .npy.  Pickled objects are never loaded."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from sparse_convonet.io.columns import to_colours, to_normals
from sparse_convonet.io.refusals import require_points, unreadable
from sparse_convonet.structures import PointCloud

POINT_KEYS = ("points", "xyz")
_HEADER_ERRORS = (tokenize.TokenError, SyntaxError)  # numpy parses the header as a Python expression
COLOUR_KEYS = ("colours", "colors", "rgb")


def read_npz(path: Path) -> PointCloud:
    """Points under the key points or xyz, (N, 3); colours and normals under their names where present."""
    try:
        with _open_archive(path) as archive:
            key = next((name for name in POINT_KEYS if name in archive), None)
            if key is None:
                raise unreadable(path, "an array 'points' or 'xyz'", ", ".join(archive.files) or "no array")
            points = archive[key]
            colours = next((archive[name] for name in COLOUR_KEYS if name in archive), None)
            normals = archive["normals"] if "normals" in archive else None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, *_HEADER_ERRORS) as error:
        raise unreadable(path, "an .npz archive", "damaged or truncated data") from error
    except ValueError as error:
        raise _refusal(path, error) from error
    points = _as_points(path, points)
    for name, array in (("colours", colours), ("normals", normals)):
        if array is not None and array.shape != points.shape:
            raise unreadable(path, f"{name} of shape {points.shape}, one per point", f"{array.shape}")
    return PointCloud(
        points, None if colours is None else to_colours(colours), None if normals is None else to_normals(normals)
    )


def _open_archive(path: Path) -> np.lib.npyio.NpzFile:
    """From memory: numpy leaves the file of a damaged archive open, and seeks in it to impossible places."""
    archive = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise unreadable(path, "an .npz archive", "a single array; rename it to .npy")
    return archive


def read_npy(path: Path) -> PointCloud:
    """An array (N, 3) of points, or (N, 6) of points and colours of 0 to 255."""
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (zipfile.BadZipFile, EOFError, *_HEADER_ERRORS) as error:
        raise unreadable(path, "a .npy array", "damaged or truncated data") from error
    except ValueError as error:
        raise _refusal(path, error) from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise unreadable(path, "a single .npy array", "an archive; rename it to .npz")
    if array.ndim == 2 and array.shape[1] == 6:
        return PointCloud(_as_points(path, array[:, :3]), to_colours(array[:, 3:]))
    return PointCloud(_as_points(path, array))


def _as_points(path: Path, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise unreadable(path, "an array of numbers of shape (N, 3)", f"shape {array.shape} of {array.dtype}")
    require_points(path, len(array))
    return np.array(array, dtype=np.float64)


def _refusal(path: Path, error: ValueError) -> ValueError:
    """numpy's own message for a pickle is about its arguments; ours is about the file."""
    if str(error).startswith(str(path)):
        return error
    if "pickle" in str(error).lower():
        return unreadable(path, "plain arrays of numbers", "pickled objects or garbage, which are not loaded")
    return unreadable(path, "plain arrays of numbers", "damaged or truncated data")


def write_npz(path: Path, cloud: PointCloud) -> None:
    """Arrays points float64, and colours uint8 and normals float32 where the cloud has them."""
    arrays = {"points": cloud.points, "colours": cloud.colours, "normals": cloud.normals}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})
