"""What `sparse-convonet data inspect` does, once its options are read."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparse_convonet.data.convonet.layout import METADATA, read_metadata
from sparse_convonet.data.convonet.survey import (
    MAX_MODELS_READ,
    GroupSurvey,
    find_groups,
    read_model,
    survey_groups,
)
from sparse_convonet.data.sets.paper_rooms import PLANE_LABEL
from sparse_convonet.data.sets.shape_stock import CLASSES
from sparse_convonet.report.contact_sheet import SheetEntry, write_contact_sheet
from sparse_convonet.report.data_survey import summarise, survey_lines
from sparse_convonet.runtime.atomic import atomic_path


def inspect_data(options: argparse.Namespace) -> None:
    """The numbers on stdout, and the sheet and the file where they are asked for."""
    groups = find_groups(options.path, options.split, options.classes)
    with tqdm(unit="model", file=sys.stderr, disable=None, leave=False) as bar:
        surveys = survey_groups(groups, options.seed, read=bar.update)
    names = _class_names(options.path)
    summaries = [summarise(survey, names) for survey in surveys]
    label_names = _label_names(surveys)
    for summary in summaries:
        print("\n".join(survey_lines(summary, label_names)) + "\n")
    total, present, read = (sum(getattr(each, key) for each in summaries) for key in ("listed", "present", "read"))
    broken = sum(len(each.broken) for each in summaries)
    print(f"{options.path}: models {total:,}, present {present:,}, broken {broken:,}, read and measured {read:,}")
    if options.json is not None:
        content = {"path": str(options.path), "seed": options.seed, "models_read_at_most": MAX_MODELS_READ}
        with atomic_path(options.json) as path:
            groups_found = [dataclasses.asdict(summary) for summary in summaries]
            path.write_text(json.dumps(content | {"groups": groups_found}, indent=2) + "\n", encoding="utf-8")
    if options.out is not None:
        _write_sheet(options, surveys, label_names)


def _write_sheet(options: argparse.Namespace, surveys: list[GroupSurvey], label_names: dict[int, str]) -> None:
    rng = np.random.default_rng(options.seed)
    sound = [(survey, measures) for survey in surveys for measures in survey.measures]
    if not sound:
        raise ValueError(f"{options.path}: expected at least one model that can be read for {options.out}, found none")
    entries = []
    for index in np.sort(rng.permutation(len(sound))[: options.samples]):
        survey, measures = sound[int(index)]
        split = f", {survey.group.split}" if survey.group.split else ""
        remarks = [f"{measures.points:,} points"]
        if measures.frame is not None:
            extent = np.ptp(measures.frame.to_world(measures.bounds_unit), axis=0)
            remarks.append(" x ".join(f"{length:.1f}" for length in extent) + " m")
        if measures.occupied is not None:
            remarks.append(f"{100 * measures.occupied:.1f} % of queries inside")
        title = f"{survey.group.category} / {measures.model.name}{split}"
        entries.append(SheetEntry(read_model(measures.model, *measures.read_from), title, " · ".join(remarks)))
    title = f"{options.path.resolve().name}: {len(entries)} of {sum(each.present for each in surveys):,} models"
    write_contact_sheet(options.out, title, entries, label_names, rng)
    print(f"models drawn in {options.out}: {len(entries)}")


def _class_names(root: Path) -> dict[str, str]:
    """From metadata.yaml; one that cannot be read is told of, and the folders' names do."""
    try:
        return read_metadata(root) if (root / METADATA).is_file() else {}
    except ValueError as error:
        print(f"broken: {error}", file=sys.stderr)
        return {}


def _label_names(surveys: list[GroupSurvey]) -> dict[int, str]:
    """What the labels of the papers' rooms stand for; of other sets it is not known."""
    if not all(re.fullmatch(r"rooms_\d\d", survey.group.category) for survey in surveys):
        return {}
    return {PLANE_LABEL: "walls, ground"} | {number: CLASSES[synset] for number, synset in enumerate(sorted(CLASSES))}
