"""Words on pictures."""

from __future__ import annotations

import pytest

from sparse_convonet.picture.lettering import drawable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hall 3.laz", "hall 3.laz"),
        ("Gebäude_Süd.ply", "Gebaude_Sud.ply"),
        ("Straße · 4×5 m²", "Strasse - 4x5 m2"),
        ("会館", "??"),
    ],
)
def test_letters_that_the_font_does_not_have_are_written_as_ones_like_them(text: str, shown: str) -> None:
    assert drawable(text) == shown
