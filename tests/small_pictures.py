"""A fixture: reconstructions in this process draw small previews, which took most of the time of small scans."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sparse_convonet.out_of_core.assembly.preview import StreamedPicture
from sparse_convonet.picture.cutaway import render_cutaway

PIXELS = (480, 300)


@pytest.fixture(scope="module", autouse=True)
def _small_pictures() -> Iterator[None]:
    """In place of the default width and height; how pictures of full size look is seen in tests/picture."""
    with pytest.MonkeyPatch.context() as patches:
        for function in (render_cutaway, StreamedPicture.__init__):
            assert function.__defaults__ is not None and len(function.__defaults__) == 2  # width and height
            patches.setattr(function, "__defaults__", PIXELS)
        yield
