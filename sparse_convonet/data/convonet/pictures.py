"""Pictures of any size as a network takes them."""

from __future__ import annotations

import numpy as np

SMALLEST_PIXELS = 16  # of the shorter side: below there is nothing to see
_WHITE = (255, 255, 255)


def square_picture(image: np.ndarray, pixels: int) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, pixels, pixels) float32, 0 to 1: in the middle of a white square, resampled.

    Raises ValueError for a picture of less than SMALLEST_PIXELS along a side.
    """
    from PIL import Image  # training on points does without it

    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_PIXELS:
        raise ValueError(
            f"picture: expected at least {SMALLEST_PIXELS} x {SMALLEST_PIXELS} pixels, found {width} x {height}; take a "
            "larger one"
        )
    side = max(height, width)
    square = Image.fromarray(image)
    if height != width:
        square = Image.new("RGB", (side, side), _WHITE)
        square.paste(Image.fromarray(image), ((side - width) // 2, (side - height) // 2))
    resampled = square.resize((pixels, pixels), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(resampled, dtype=np.float32).transpose(2, 0, 1) / 255)
