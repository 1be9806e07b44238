"""What the commands that prepare scans share: options, a bar while models are made, and what is said at the end."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from sparse_convonet.commands.parsing import seed
from sparse_convonet.data.sets.official_splits import OfficialSplits, find_splits, named_splits
from sparse_convonet.data.sets.prepared import PreparedModel, prepare_models


def add_preparing_options(parser: argparse.ArgumentParser, unit: str, *, points: int | None, points_help: str) -> None:
    """--out, --points, --files, --seed, --skip-broken and --overwrite.  unit: what becomes a model, such as "scan"."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the data set")
    add("--points", type=int, default=points, help=f"in each file{points_help}")
    add("--files", type=int, default=1, help=f"files of points per {unit}; default 1")
    add("--seed", type=seed, default=0)
    add("--skip-broken", action="store_true", help="leave out scans that cannot be read, and name them")
    add("--overwrite", action="store_true", help=f"make {unit}s again that are there")


def official_splits(options: argparse.Namespace, pattern: str, *, folders_above: int) -> OfficialSplits:
    """The lists of --splits, else those in the folder of scans or so many folders above it.  pattern: {}: the split."""
    if options.splits:
        return named_splits(pattern, options.splits)
    return find_splits(pattern, (options.scans, *options.scans.resolve().parents[:folders_above]))


def show_warnings() -> None:
    """Let the package's warnings, which name single scans, go to stderr."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")


def prepare(
    options: argparse.Namespace,
    category: str,
    title: str,
    models: Sequence[PreparedModel],
    unit: str,
    *,
    broken: dict[str, str] | None = None,
    lists_missing: str | None = None,
) -> None:
    """Make the models in <out>/<category>, and print what was made.

    options: with those of add_preparing_options.  broken: scans that are known to be broken already.  lists_missing: the
    pattern of official lists of which there is none.
    """
    with tqdm(total=len(models), unit=unit) as bar, logging_redirect_tqdm():
        outcome = prepare_models(
            options.out,
            category,
            title,
            models,
            broken=broken,
            overwrite=options.overwrite,
            skip_broken=options.skip_broken,
            finished=bar.update,
        )
    if lists_missing is not None:
        first = lists_missing.format("train")
        print(f"no lists {first}, ... in or beside {options.scans}: all {unit}s are on test.lst")
    print("\n".join([f"{options.out / category}:", *outcome.lines()]))
