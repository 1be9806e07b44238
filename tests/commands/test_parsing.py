"""Help ends with examples, and shows what an option is where it is not given."""

from __future__ import annotations

import pytest

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.coordinates import UP_AXES


def test_help_has_the_description_as_it_stands_and_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_parser("data rooms", "One line.\n\n  100 % of another.", ["--out a", "--out b"]).parse_args(["--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0
    assert said.startswith("usage: sparse-convonet data rooms [-h]\n\nOne line.\n\n  100 % of another.\n")
    assert said.endswith("\nexamples:\n  sparse-convonet data rooms --out a\n  sparse-convonet data rooms --out b\n")


def test_defaults_are_shown_where_there_are_any(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_parser("x", None, [], defaults_shown=True)
    parser.add_argument("--zero", type=int, default=0, help="a number")
    parser.add_argument("--none", help="nothing")
    parser.add_argument("--flag", action="store_true", help="a flag")
    parser.print_help()
    said = capsys.readouterr().out
    assert "a number (default: 0)\n" in said and "nothing\n" in said and "a flag\n" in said


@pytest.mark.parametrize("value", ["-x", "-y", "-z"])
def test_axes_that_point_down_are_values_and_no_options(value: str) -> None:
    parser = command_parser("x", None, [])
    parser.add_argument("--up", choices=UP_AXES)
    assert parser.parse_args(["--up", value]).up == value


def test_a_missing_argument_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_parser("export", None, [])
    parser.add_argument("weights")
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([])
    assert stopped.value.code == 2
    assert "sparse-convonet export: error: the following arguments are required: weights" in capsys.readouterr().err
