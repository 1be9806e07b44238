"""Checkpoints of a running training: written to a temporary name, renamed, checked and loaded without pickle code."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import one_line

_UNREADABLE = (UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class TrainingState:
    """Everything a run needs to go on.

    What a step draws at random follows from the seed and the step, so there is no state of generators to keep.  model,
    averaged, optimizer: state dicts.  step: how many are done.  best_iou: of the validations so far.
    validation: IoU at each threshold at the last one, empty before the first.  seconds: that all steps took.
    reviewed: whether the validation and pictures due after this step are done.  config: nested plain values.
    """

    model: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: int
    best_iou: float
    validation: tuple[float, ...] = ()
    seconds: float = 0.0
    reviewed: bool = True
    config: dict[str, Any] = field(default_factory=dict)


def save_state(state: TrainingState, path: Path) -> None:
    """Write a checkpoint; an existing one stays whole until the new one is."""
    with atomic_path(path) as temporary:
        torch.save(dict(vars(state)), temporary)


def load_state(path: Path, device: torch.device) -> TrainingState:
    """Read a checkpoint of save_state; raises ValueError where the file is something else, damaged or cut off."""
    _require_intact(path)
    try:
        state = TrainingState(**torch.load(path, map_location=device, weights_only=True))
    except _UNREADABLE as error:
        raise _refusal(path, f"something else ({type(error).__name__})") from error
    kinds = {"model": dict, "averaged": dict, "optimizer": dict, "step": int, "validation": tuple, "config": dict}
    for name, kind in kinds.items():
        if not isinstance(getattr(state, name), kind):
            raise _refusal(path, f"a {type(getattr(state, name)).__name__} as its {name}")
    return state


def require_fit(path: Path, state: TrainingState, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError where a checkpoint belongs to another network than the one with the state dict `expected`."""

    def refuse(found: str) -> None:
        raise ValueError(
            f"{path}: expected weights of the network that the config describes, found {found}; "
            "resume with the config that began the run (config.yaml beside it), or name another --out"
        )

    for values in (state.model, state.averaged):
        different = sorted(expected.keys() ^ values.keys())
        if different:
            refuse(f"{len(different)} tensors that only one of them has, such as {one_line(str(different[0]), 80)}")
        for name, value in expected.items():
            if values[name].shape != value.shape:
                refuse(f"{name} of shape {tuple(values[name].shape)}, not {tuple(value.shape)}")


def changed_settings(former: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What is not as it was in nested plain values: texts such as "training.steps 100 -> 200"."""
    found = []
    for key in sorted(former.keys() | now.keys()):
        before, after = former.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += changed_settings(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} {before} -> {after}")
    return found


def _require_intact(path: Path) -> None:
    """Compare the checksums of the file's parts; torch.load takes changed bytes for weights."""
    compressed, broken = False, None
    try:
        with zipfile.ZipFile(path) as archive:
            compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
            broken = None if compressed else archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, struct.error, *_UNREADABLE) as error:
        found = "damaged or truncated data" if _begins_as_archive(path) else "something else"
        raise _refusal(path, found) from error
    if compressed:
        raise _refusal(path, "compressed parts")
    if broken is not None:
        raise _refusal(path, f"damaged data in its part {one_line(broken, 80)}")


def _begins_as_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _refusal(path: Path, found: str) -> ValueError:
    return ValueError(
        f"{path}: expected a training checkpoint of this library, found {found}; "
        "restore it from a copy, or remove it (the run then begins at step 0) or name another --out"
    )
