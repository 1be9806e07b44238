"""Help ends with examples, and shows what an option is where it is not given; what is wrong is one sentence."""

from __future__ import annotations

import argparse

import pytest

from sparse_convonet.commands.parsing import command_parser, seed
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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "expected weights, --out, which must be given, found none"),
        ("w", "expected --out, which must be given, found none"),
        ("w --out a --tries many", "--tries: expected a whole number, found 'many'"),
        ("w --out a --size 5cm", "--size: expected a number, found '5cm'"),
        ("w --out a --seed -1", "--seed: expected a whole number from 0 on, found '-1'"),
        ("w --out a --up q", "--up: expected one of x, y, z, -x, -y, -z, found 'q'"),
        ("w --out a --sise 5", "unknown arguments --sise, perhaps meant as --size"),
        ("--ot a", "unknown arguments --ot, perhaps meant as --out"),
        ("w --out a --wholly=different more", "unknown arguments --wholly=different"),
        ("w --out a more", "unknown arguments more"),
        ("w --out", "--out: expected one argument"),
        ("w --out a --odd 2", "--odd: 2 is even"),
    ],
)
def test_what_is_wrong_is_one_sentence(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def odd(text: str) -> int:
        raise argparse.ArgumentTypeError(f"{text} is even")

    parser = command_parser("export", None, [])
    parser.add_argument("weights")
    parser.add_argument("--out", required=True)
    parser.add_argument("--tries", type=int)
    parser.add_argument("--size", type=float)
    parser.add_argument("--seed", type=seed)
    parser.add_argument("--up", choices=UP_AXES)
    parser.add_argument("--odd", type=odd)
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(given.split())
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {said}; sparse-convonet export --help says what it takes\n"
