"""Scores of meshes that were scored before: a benchmark of whole buildings takes half a minute for each of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.evaluation.buildings.protocol import HIDDEN_FILE, STATIONS_FILE, TRUTH_FILE
from sparse_convonet.runtime.atomic import atomic_path

_PROTOCOL = 1  # to be raised when scores of the same mesh change

Scores = dict[str, float | None]


@dataclass(frozen=True)
class KnownScores:
    """folder: of one file for each mesh that was scored."""

    folder: Path

    def of(self, name: str, mesh: Path | None, building: Path, score: Callable[[], Scores]) -> Scores:
        """Those of a mesh (None: of none) in a building: as written under that name for the same files, or new."""
        files = [mesh, *(building / part for part in (TRUTH_FILE, STATIONS_FILE, HIDDEN_FILE))]
        identity = [_PROTOCOL, *(_checksum(each) for each in files)]
        path = self.folder / f"{name}.json"
        known = _read(path)
        if known.get("of") == identity and isinstance(known.get("scores"), dict):
            return dict(known["scores"])
        scores = score()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"of": identity, "scores": scores}, indent=1) + "\n", encoding="utf-8")
        return scores


def _checksum(path: Path | None) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}" if path is not None and path.is_file() else ""


def _read(path: Path) -> dict:  # type: ignore[type-arg]
    """What is written there; nothing where it is damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
