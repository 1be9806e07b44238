"""What the commands that prepare scans share."""

from __future__ import annotations

import importlib
from argparse import Namespace
from pathlib import Path

import pytest

from sparse_convonet.commands.data.preparing import official_splits, prepare

SHARED = {"out", "points", "files", "seed", "skip_broken", "overwrite"}
COMMANDS = {
    "scannet": ["--metres", "--unit", "--splits", "--mesh"],
    "matterport3d": ["--scene", "--part", "--splits"],
    "scans": ["--up", "--scale"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_the_shared_options_and_its_own(name: str) -> None:
    parser = importlib.import_module(f"sparse_convonet.commands.data.{name}")._parser()
    found = set(vars(parser.parse_args(["somewhere", "--out", "out"])))
    own = {option.strip("-") for option in COMMANDS[name]}
    assert found == SHARED | own | {"folder" if name == "scans" else "scans"}


def test_lists_are_looked_for_so_many_folders_above_and_named_ones_come_first(tmp_path: Path) -> None:
    scans = tmp_path / "a" / "scans"
    scans.mkdir(parents=True)
    (tmp_path / "list_train.txt").write_text("one\n")
    options = Namespace(scans=scans, splits=None)
    assert official_splits(options, "list_{}.txt", folders_above=1).files == ()
    found = official_splits(options, "list_{}.txt", folders_above=2)
    assert found.split_of == {"one": "train"}
    (scans / "list_val.txt").write_text("two\n")
    assert official_splits(options, "list_{}.txt", folders_above=2).split_of == {"two": "val"}
    named = Namespace(scans=scans, splits=[tmp_path])
    assert official_splits(named, "list_{}.txt", folders_above=0).split_of == {"one": "train"}


def test_nothing_to_prepare_is_refused(tmp_path: Path) -> None:
    options = Namespace(out=tmp_path / "out", overwrite=False, skip_broken=False)
    with pytest.raises(ValueError, match="expected at least one scan that can be used, found none"):
        prepare(options, "scans", "Scans", [], "scan")
    assert not (tmp_path / "out").exists()
