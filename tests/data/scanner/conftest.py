"""A room for the virtual scanner."""

from __future__ import annotations

import pytest

from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from tests.data.scanner.box_scenes import box_mesh


@pytest.fixture(scope="module")
def room():
    return VirtualScanner(*box_mesh([-2, -3, 0], [4, 3, 2.5]))
