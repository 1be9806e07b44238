"""What `sparse-convonet evaluate buildings` does, once its options are read."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from sparse_convonet.evaluation.buildings.known_scores import KnownScores
from sparse_convonet.evaluation.buildings.methods import BuildingMethod
from sparse_convonet.evaluation.buildings.protocol import BuildingScan, BuildingSet
from sparse_convonet.evaluation.buildings.running import make_meshes
from sparse_convonet.evaluation.buildings.scoring import ScoredScan, score_folder
from sparse_convonet.evaluation.buildings.tables import markdown, write_tables
from sparse_convonet.runtime.atomic import require_writable

_MESHES, _SCORES = "meshes", "scores"


def evaluate_buildings(options: argparse.Namespace) -> None:
    """Meshes of --methods, scores of all, and the tables in --out."""
    scans = _chosen_scans(BuildingSet.load(options.data), options.data, options.buildings)
    methods = [BuildingMethod.parse(text) for text in options.methods]
    folders = {_label(path): path for path in options.meshes}
    folders |= {method.label: options.out / _MESHES / method.label for method in methods}
    if len(folders) < len(options.meshes) + len(methods):
        raise ValueError("expected different names for all rows, found one twice; rename a folder or leave one out")
    require_writable(options.out)
    memory = None if options.memory is None else int(1e9 * options.memory)
    for method in methods:
        make_meshes(
            method, options.data, scans, folders[method.label],
            memory_bytes=memory, seconds=options.time_limit, tell=_tell,
        )  # fmt: skip
    rows: dict[str, list[ScoredScan]] = {}
    with tqdm(total=len(scans) * len(folders), unit="mesh", desc="scores") as bar:
        for label, folder in folders.items():
            rows[label] = score_folder(
                options.data, scans, folder, partial(_told, bar), KnownScores(options.out / _SCORES / label)
            )
    options.out.mkdir(parents=True, exist_ok=True)
    write_tables(options.out, rows)
    print(markdown(rows), end="")
    print(f"wrote {options.out / 'buildings.md'}, buildings.csv, buildings_scores.json")


def _tell(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _told(bar: tqdm[NoReturn], wrong: str) -> None:
    bar.update()
    if wrong:
        _tell(wrong)


def _label(folder: Path) -> str:
    return folder.resolve().name


def _chosen_scans(known: BuildingSet, data: Path, names: list[str] | None) -> list[BuildingScan]:
    """Those of the named buildings; None: of all.  Raises ValueError for other names, and where the set is not finished."""
    if unknown := sorted(set(names or ()) - set(known.source)):
        raise ValueError(f"--buildings: expected some of {', '.join(known.source)}, found {unknown[0]!r}; leave it out")
    scans = [scan for scan in known.scans if names is None or scan.building in names]
    missing = [scan.file for scan in scans if not (data / scan.file).is_file()]
    if missing:
        raise ValueError(
            f"{data}: expected all scans, {missing[0]} and {len(missing) - 1} others are missing; give the command "
            "that makes it again, it goes on"
        )
    return scans
