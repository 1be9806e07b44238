"""Stage picture: the colours of what a parallel camera sees, with ambient occlusion, which darkens corners.

The ambient light at a subpixel is the share of rays around its normal that meet nothing near; the rays are followed
through the buffer of heights (screen-space ambient occlusion) and joined with those of the subpixels around.
"""

from __future__ import annotations

import math

import numpy as np

from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.raster import NOTHING, SECTION, SURFACE, Projection, View
from sparse_convonet.picture.seen import Seen, resolve
from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

OVERSAMPLING = 2  # subpixels along each edge of a pixel
_PARTS = 16
PAGE = (240, 243, 247)  # uint8 where nothing is shown: tinted, so that what is white is seen
_PAGE = np.array(PAGE) / 255.0
SECTION_COLOUR = (0.13, 0.13, 0.15)  # inside the solid at the cut
# Where the mesh has no colours of its own:
_FLOOR_COLOUR = (0.93, 0.88, 0.79)
_TOP_COLOUR = (0.98, 0.98, 0.98)  # table tops and other level faces above the floor
_UPRIGHT_COLOUR = (0.84, 0.87, 0.91)  # walls
_FLOOR_HEIGHT_M = 0.15, 0.30  # level faces turn from floor to top between these heights over the floor
_AMBIENT, _HEADLIGHT, _SUN = 0.55, 0.25, 0.30  # shares of the light

_RAYS = 4  # per subpixel
_TURNS = 256  # different sets of rays
_REACH_M = 0.8  # how near something must be to keep the ambient light away
_STEPS = 8  # along a ray
_THICKNESS_M = 0.2  # along the view, at least: rays go in steps, which would miss thinner things
_BLUR = 3 * OVERSAMPLING  # subpixels to each side
_LIFT = 0.5  # subpixels that a ray starts off its surface, else it would meet it
_UNLIT = 255  # no surface; any other number counts the rays that met something


@njit(cache=True, nogil=True)
def _count_blocked(  # type: ignore[no-untyped-def]
    normal,  # (R, C, 3) float32, see Seen
    axes,  # (3, 3) float64: right, up, towards the viewer
    subpixel_m,
    high,
    rays,  # (T, D, 3) float32, around the third axis
    shown,
    seen_height,
    exit_height,
    blocked,  # (R, C) uint8, written
    begin,
    end,
):
    """How many rays of each subpixel in rows begin to end meet a surface or the inside of the solid."""
    rows, columns = shown.shape
    step_m = _REACH_M / _STEPS
    thickness = _THICKNESS_M * axes[2, 2]  # as a difference of heights at one subpixel
    for row in range(begin, end):
        for column in range(columns):
            blocked[row, column] = _UNLIT
            if shown[row, column] != SURFACE:
                continue
            nx, ny = np.float64(normal[row, column, 0]), np.float64(normal[row, column, 1])
            nz = np.float64(normal[row, column, 2])
            # Two directions across the normal (Duff et al. 2017, "Building an orthonormal basis, revisited", eq. 4).
            s = -1.0 / (1.0 + nz)
            t = nx * ny * s
            ax, ay, az = 1.0 + nx * nx * s, t, -nx
            bx, by, bz = t, 1.0 + ny * ny * s, -ny
            # Spread evenly over the subpixels that are joined (Roberts 2018, the R2 sequence).
            turn = int(_TURNS * ((column * 0.7548776662466927 + row * 0.5698402909980532) % 1.0))
            shift = (column * 0.38196601125 + row * 0.2360679775) % 1.0
            start_column = column + 0.5 + _LIFT * nx
            start_row = row + 0.5 - _LIFT * ny
            start_height = seen_height[row, column] + _LIFT * subpixel_m * (ny * axes[1, 2] + nz * axes[2, 2])
            count = 0
            for ray in range(rays.shape[1]):
                p, q, n = rays[turn, ray, 0], rays[turn, ray, 1], rays[turn, ray, 2]
                along_right = p * ax + q * bx + n * nx
                along_up = p * ay + q * by + n * ny
                along_near = p * az + q * bz + n * nz
                rise = along_up * axes[1, 2] + along_near * axes[2, 2]
                along_right, along_up = along_right / subpixel_m, along_up / subpixel_m
                for step in range(_STEPS):
                    distance = (step + shift) * step_m
                    height = start_height + distance * rise
                    r = int(math.floor(start_row - distance * along_up))
                    c = int(math.floor(start_column + distance * along_right))
                    if height > high or r < 0 or r >= rows or c < 0 or c >= columns:
                        break
                    if shown[r, c] != NOTHING:
                        # The view runs through the solid from the surface, or from the cut, to where it leaves it.
                        upper = seen_height[r, c] if shown[r, c] == SURFACE else high
                        lower = upper - thickness
                        if exit_height[r, c] > -np.inf:
                            lower = min(lower, exit_height[r, c])
                        if lower < height < upper:
                            count += 1
                            break
                shift = (shift + 0.61803398875) % 1.0
            blocked[row, column] = count


@njit(cache=True, nogil=True)
def _colour(  # type: ignore[no-untyped-def]
    normal,  # (R, C, 3) float32, see Seen
    own_colour,  # (R, C, 3) float32 or (0, 0, 3)
    axes,
    sun,  # (3,) float64, towards it, in the camera's axes
    floor,
    palette,  # (4, 3) float64: section, floor, top, upright
    shown,
    seen_height,
    blocked,
    picture,  # (H, W, 3) uint8, written
    begin,
    end,
):
    """Pixels of rows begin to end: the mean of their subpixels."""
    rows, columns = shown.shape
    met = np.zeros((2, columns + 1), dtype=np.int64)  # rays met and surfaces around this row, per column, ...
    joined = np.zeros((2, columns + 1), dtype=np.int64)  # ... and in all columns before
    sums = np.zeros((picture.shape[1], 3))
    first, last = begin * OVERSAMPLING - _BLUR, begin * OVERSAMPLING - _BLUR
    for pixel_row in range(begin, end):
        sums[:] = 0.0
        for row in range(pixel_row * OVERSAMPLING, (pixel_row + 1) * OVERSAMPLING):
            while last <= row + _BLUR:
                if 0 <= last < rows:
                    for column in range(columns):
                        if blocked[last, column] != _UNLIT:
                            met[0, column] += blocked[last, column]
                            met[1, column] += 1
                last += 1
            while first < row - _BLUR:
                if 0 <= first < rows:
                    for column in range(columns):
                        if blocked[first, column] != _UNLIT:
                            met[0, column] -= blocked[first, column]
                            met[1, column] -= 1
                first += 1
            for column in range(columns):
                for kind in range(2):
                    joined[kind, column + 1] = joined[kind, column] + met[kind, column]
            for column in range(columns):
                pixel = column // OVERSAMPLING
                if shown[row, column] == NOTHING:
                    for channel in range(3):
                        sums[pixel, channel] += _PAGE[channel]
                    continue
                if shown[row, column] == SECTION:
                    for channel in range(3):
                        sums[pixel, channel] += palette[0, channel]
                    continue
                nx, ny = np.float64(normal[row, column, 0]), np.float64(normal[row, column, 1])
                nz = np.float64(normal[row, column, 2])
                left, right = max(column - _BLUR, 0), min(column + _BLUR + 1, columns)
                rays = _RAYS * (joined[1, right] - joined[1, left])
                ambient = 1.0 - (joined[0, right] - joined[0, left]) / rays
                towards_sun = max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0)
                light = min(_AMBIENT * ambient + _HEADLIGHT * nz + _SUN * towards_sun, 1.0)
                rise = abs(ny * axes[1, 2] + nz * axes[2, 2])
                level = min(max(rise * 2 - 0.8, 0.0), 1.0)
                height = seen_height[row, column] - floor
                raised = (height - _FLOOR_HEIGHT_M[0]) / (_FLOOR_HEIGHT_M[1] - _FLOOR_HEIGHT_M[0])
                raised = min(max(raised, 0.0), 1.0)
                for channel in range(3):
                    if len(own_colour):
                        colour = np.float64(own_colour[row, column, channel])
                    else:
                        flat = raised * palette[2, channel] + (1 - raised) * palette[1, channel]
                        colour = level * flat + (1 - level) * palette[3, channel]
                    sums[pixel, channel] += light * colour
        for pixel in range(picture.shape[1]):
            for channel in range(3):
                picture[pixel_row, pixel, channel] = np.uint8(np.rint(sums[pixel, channel] * (255.0 / OVERSAMPLING**2)))


def _rays_around() -> np.ndarray:
    """(_TURNS, _RAYS, 3) float32 unit vectors around +z, dense by the cosine: ever the same heights, turned evenly."""
    index = (np.arange(_RAYS) + 0.5) / _RAYS
    turn = np.arange(_TURNS)[:, None] / _TURNS + np.arange(_RAYS) * 0.381966  # the golden angle
    across, height = np.sqrt(index), np.broadcast_to(np.sqrt(1 - index), turn.shape)
    angle = 2 * np.pi * turn
    return np.stack([across * np.cos(angle), across * np.sin(angle), height], axis=-1).astype(np.float32)


def shade(
    mesh: Mesh,
    projection: Projection,
    camera: ParallelCamera,
    corner: np.ndarray,
    view: View,
    floor: float,
    high: float,
    picture: np.ndarray,
) -> None:
    """Fill a part of a picture, (H, W, 3) uint8, with what `view` shows at OVERSAMPLING subpixels per pixel.

    corner: see Projection.corner.  floor, high: metres above the projection's origin_z, the storey's floor and its cut.
    """
    seen = Seen.blank(view.shown.shape, mesh.colours is not None)  # type: ignore[arg-type]
    resolve(seen, view, mesh, projection, camera, corner)
    shade_seen(seen, view, camera, projection.subpixel_m, floor, high, picture)


def shade_seen(
    seen: Seen, view: View, camera: ParallelCamera, subpixel_m: float, floor: float, high: float, picture: np.ndarray
) -> None:
    """As shade, where normals and colours of what is seen are known."""
    axes = np.stack([camera.right, camera.up, -camera.forward])
    sun = np.array([-0.5, 0.75, 0.45])
    sun = sun / np.linalg.norm(sun)
    palette = np.array([SECTION_COLOUR, _FLOOR_COLOUR, _TOP_COLOUR, _UPRIGHT_COLOUR])
    rays = _rays_around()
    buffers = view.shown, view.height
    blocked = np.empty(view.shown.shape, dtype=np.uint8)

    def count_blocked(part: int, begin: int, end: int) -> None:
        _count_blocked(seen.normal, axes, subpixel_m, high, rays, *buffers, view.exit_height, blocked, begin, end)

    def colour(part: int, begin: int, end: int) -> None:
        _colour(seen.normal, seen.colour, axes, sun, floor, palette, *buffers, blocked, picture, begin, end)

    run_ranges(count_blocked, len(blocked), _PARTS)
    run_ranges(colour, len(picture), _PARTS)
