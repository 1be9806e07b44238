"""Look at a data set in the format of Convolutional Occupancy Networks: counts, measures, and a sheet of pictures.

PATH is a data set (<class>/<model>/...), a class, any folder with models in it, or one model.  Everything is counted;
what needs reading is measured on about 200 models, one file of points and one of queries each.
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
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
    from sparse_convonet.data.paper_rooms import PLANE_LABEL
    from sparse_convonet.data.shape_stock import CLASSES
    from sparse_convonet.io.atomic import atomic_path
    from sparse_convonet.report.contact_sheet import SheetEntry, write_contact_sheet
    from sparse_convonet.report.data_survey import summarise, survey_lines

_MOST_SAMPLES = 200


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if not 1 <= options.samples <= _MOST_SAMPLES:
        raise ValueError(f"--samples: expected 1 to {_MOST_SAMPLES}, found {options.samples}")
    if options.seed < 0:
        raise ValueError(f"--seed: expected 0 or more, found {options.seed}")
    for path in (options.out, options.json):
        if path is not None and path.exists() and not options.overwrite:
            raise ValueError(f"{path} exists already; pass --overwrite to replace it")
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("path", type=Path, help="folder of a data set, of a class, or of one model")
    add("--split", help="only the models of this list: train, val, test, ...")
    add("--classes", nargs="+", help="only these classes")
    add("--out", type=Path, help="write a sheet of random models to this PNG")
    add("--samples", type=int, default=12, help=f"models on the sheet, at most {_MOST_SAMPLES}; default 12")
    add("--seed", type=int, default=0, help="of the choice of models and points")
    add("--json", type=Path, help="also write the numbers to this file")
    add("--overwrite", action="store_true", help="replace --out and --json where they exist")
    return parser


if __name__ == "__main__":
    run_tool(main)
