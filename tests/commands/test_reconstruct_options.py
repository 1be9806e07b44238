"""What the words of `sparse-convonet reconstruct` mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_convonet.commands.reconstruct import main, observed_reach
from sparse_convonet.mesh.point_support import OBSERVED_VOXELS
from sparse_convonet.mesh.surface_cuts import FarCut
from sparse_convonet.plan.settings import ReconstructionSettings


@pytest.mark.parametrize(
    ("text", "known_only", "reach"),
    [
        (None, False, (None, None)),
        ("2.5", False, (2.5, None)),
        ("20cm", False, (None, 0.2)),
        (None, True, (OBSERVED_VOXELS, None)),
    ],
)
def test_surface_is_cut_in_voxels_or_centimetres(
    text: str | None, known_only: bool, reach: tuple[float | None, float | None]
) -> None:
    found = observed_reach(text, known_only=known_only)
    assert found == reach
    settings = ReconstructionSettings(observed_only_voxels=found[0], observed_only_m=found[1])
    expected = reach[0] if reach[1] is None else reach[1] / 0.05
    assert settings.surface_cut(0.05) == (None if expected is None else FarCut(expected))


@pytest.mark.parametrize(
    ("text", "known_only", "message"),
    [
        ("far", False, r"--observed-only: expected voxels \(2\.5\) or centimetres \(20cm\), found 'far'"),
        ("xcm", False, "found 'xcm'"),
        ("2", True, "--known-only: expected no --observed-only beside it, found both"),
    ],
)
def test_other_words_are_refused(text: str, known_only: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        observed_reach(text, known_only=known_only)


@pytest.mark.parametrize("other", [["--known-only"], ["--observed-only", "20cm"]], ids=["known", "observed"])
def test_inner_surfaces_are_given_alone(tmp_path: Path, other: list[str]) -> None:
    with pytest.raises(ValueError, match=f"--surface inner: expected no {other[0]} beside it, found both; give one"):
        main([str(tmp_path / "scan.ply"), "--out", str(tmp_path / "out"), "--surface", "inner", *other])
