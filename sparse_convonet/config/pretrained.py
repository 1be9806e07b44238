"""The networks whose weights are in the package, by name, with a line about each."""

from __future__ import annotations

DEFAULT_MODEL = "building_wide"
PRETRAINED = {
    "building_wide": "rooms and whole buildings, sees far; the default, whose errors and voxel sizes were measured",
    "building": "rooms and whole buildings, an earlier one; smaller and faster, less accurate",
}


def pretrained_lines() -> str:
    """All of them in one sentence part: "building_wide (rooms and ...), building (...)"."""
    return ", ".join(f"{name} ({about})" for name, about in PRETRAINED.items())
