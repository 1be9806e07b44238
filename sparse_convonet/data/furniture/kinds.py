"""Sort catalogue models: what kind of furniture each is, where it stands, and which are left out."""

from __future__ import annotations

import re

import numpy as np

# The first rule found in the lower-case name decides.
_KIND_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("carpet", r"\brug\b|carpet|mat\b|tatami"),
        ("sport", r"treadmill|fitness|indoor bike|abdominal|punching|pool table|football table|table tennis$|flipper"),
        ("small", r"\bfan$|tennis|medicine"),
        ("plant", r"(flower|plant) box"),
        ("lamp", r"lamp|\blights?$|lantern|candle|fluorescent|spotlight|flashlight"),
        ("bed", r"\bbed\b|futon$|mattress|crib|sleeping bag"),
        ("sofa", r"sofa|couch"),
        ("desk", r"workbench"),
        ("chair", r"chair|stool|\bseat\b|\bpuff\b|bench\b|\bbank\b|ottoman"),
        ("desk", r"\bdesk|technical table"),
        ("table", r"bedside table|changing table|dressing table|\btable\b"),
        (
            "kitchen",
            r"oven|stove|fridge|refrigerator|washing machine|dryer machine|freezer|island( extension)?$|"
            r"(lower|upper|high|drawers|door).* cabinet|drawers cabinet|\bsink\b|hood$|cook(er|top)",
        ),
        ("bathroom", r"bath\b|bathtub|toilets unit|bidet|urinal|washbasin|vanity|shower|lavatory|\bbasin\b|jacuzzi"),
        (
            "storage",
            r"shelves|bookcase|cupboard|wardrobe|cabinet|dresser|\bchest\b|tv stand|trunck|living room|"
            r"locker|crate|barrel|\bbox\b|\bsafe$|clothes rack",
        ),
        ("heating", r"radiator|water heater|furnace|fireplace|air conditioning"),
        ("plant", r"plant|cactus|yucca|ficus|bonsai|bamboo|orchid|tulip|lily|spathi|flower|christmas tree"),
        (
            "appliance",
            r"\btv\b|television|piano|apple i|laptop|printer|speaker|stereo|amplifier|water cooler|radio|"
            r"microwave|coffee (m[ac]|brew|press)|mixer|toaster|blender|boiler",
        ),
    )
)
_ROOMS_LEFT_OUT = {
    "Doors and windows": "part of the building",
    "Staircases": "part of the building",
    "Characters": "person or animal",
}
_KEPT_OF_ROOM = {
    "Exterior": re.compile(r"chair|sofa|\btable|bench|bank|trashcan|(flower|plant|letters) box|mailbox|bottle|entry"),
    "Vehicles": re.compile(r"stroller|tricycle|skateboard|bike|bicycle"),
}
_OUTDOORS = re.compile(r"container|railing|fence|chimney|mower|street l|lamppost|park light|swing|remote control")
_CEILING_TOP_M = 2.45  # what reaches this high hangs from a ceiling: the catalogues' rooms are 2.5 m high
_TABLE_TOP_LIMITS_M = (0.62, 0.85, 0.60)  # shorter side, longer side, height
_ON_FLOOR = re.compile(
    r"slipper|shoe|sneaker|mocassin|bootie|bin$|trash|potty|toilet|logs|stool|chair|seat|puff|bench|"
    r"\bbox$|crate|safe$|extinguisher|shovel|cone$|basket$|suitcase|fire|aquarium"
)
_FLOOR_KINDS = {"carpet", "sport", "bed", "sofa", "chair", "desk", "table", "bathroom", "storage", "heating"}


def kind_of(name: str, room: str = "") -> str:
    """The kind of furniture: "chair", "table", "storage", ..., or "small" for all that no rule names."""
    for kind, pattern in _KIND_RULES:
        if pattern.search(name.lower()):
            return kind
    return "lamp" if room == "Lights" else "small"


def reason_left_out(name: str, room: str) -> str | None:
    """Why a catalogue model does not belong into a house, office or shop as furniture; None when it does."""
    if room in _ROOMS_LEFT_OUT:
        return _ROOMS_LEFT_OUT[room]
    kept = _KEPT_OF_ROOM.get(room)
    if (kept is not None and not kept.search(name.lower())) or _OUTDOORS.search(name.lower()):
        return "outdoor or vehicle"
    return None


def placement_of(name: str, kind: str, size_m: np.ndarray, elevation_m: float) -> str:
    """Where a model belongs: "floor", "top" (of a table, shelf, ...), "wall" or "ceiling".

    size_m: (3,) width, depth, height.
    """
    if elevation_m > 0:
        return "ceiling" if elevation_m + size_m[2] >= _CEILING_TOP_M else "wall"
    if kind in _FLOOR_KINDS or _ON_FLOOR.search(name.lower()):
        return "floor"
    shorter, longer = sorted(size_m[:2])
    fits = all(np.array([shorter, longer, size_m[2]]) <= _TABLE_TOP_LIMITS_M)
    return "top" if fits else "floor"
