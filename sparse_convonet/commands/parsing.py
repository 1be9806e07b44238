"""Parsers whose help ends with examples, and which say what is wrong in one sentence."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from sparse_convonet.runtime.cli import EXIT_BAD_INPUT

# What argparse takes for a value though it begins with a minus: -1,0,2 and the axes -x, -y, -z.
_VALUE_WITH_MINUS = re.compile(r"-([\d.][\d.,eE+-]*|[xyz]|nan|inf)$")
PROGRAM = "sparse-convonet"
_KINDS = {"int": "a whole number", "float": "a number", "seed": "a whole number from 0 on"}  # as argparse names them
# What argparse says of a value that is none of its choices or not of its type, or of an option without one.
_NO_CHOICE = re.compile(r"argument (?P<option>\S+): invalid choice: (?P<found>.+) \(choose from (?P<choices>.+)\)")
_NO_VALUE = re.compile(r"argument (?P<option>\S+): invalid (?P<kind>\w+) value: (?P<found>.+)")
_ALIKE = 0.7  # a shorter option has been misspelt by a letter or two
_MISSING = "the following arguments are required: "
_UNKNOWN = "unrecognized arguments: "


def seed(text: str) -> int:
    """A number for numpy.random.default_rng, as the type of an argument."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


class SentenceParser(argparse.ArgumentParser):
    """Says what is wrong as all refusals do, without its usage, which fills a screen."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """Before anything is said to be missing, since a misspelt option is why."""
        for word in sys.argv[1:] if args is None else args:
            if word == "--":
                break
            if word.startswith("--") and not any(option.startswith(word.split("=")[0]) for option in self._options()):
                self.error(_UNKNOWN + word)
        return super().parse_known_args(args, namespace)

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def error(self, message: str) -> NoReturn:
        print(f"error: {self._sentence(message)}; {self.prog} --help says what it takes", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)

    def _sentence(self, message: str) -> str:
        if found := _NO_CHOICE.fullmatch(message):
            return f"{found['option']}: expected {_one_of(found['choices'])}, found {found['found']}"
        if (found := _NO_VALUE.fullmatch(message)) and found["kind"] in _KINDS:
            return f"{found['option']}: expected {_KINDS[found['kind']]}, found {found['found']}"
        if message.startswith(_MISSING):
            return f"expected {message.removeprefix(_MISSING)}, which must be given, found none"
        if message.startswith(_UNKNOWN):
            unknown = message.removeprefix(_UNKNOWN).split()
            near = difflib.get_close_matches(unknown[0].split("=")[0], self._options(), 1, _ALIKE)
            return f"unknown arguments {' '.join(unknown)}" + (f", perhaps meant as {near[0]}" if near else "")
        return message.removeprefix("argument ")


def _one_of(choices: str) -> str:
    """'a', 'b', with or without quotes -> one of a, b."""
    return "one of " + choices.replace("'", "")


class _DefaultsShown(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Lines as they stand, and what an option is where it is not given, unless that is nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def command_parser(
    command: str, description: str | None, examples: Sequence[str], *, defaults_shown: bool = False
) -> argparse.ArgumentParser:
    """A parser for `sparse-convonet <command>`.

    description: as it is to stand in the help.  examples: what follows `sparse-convonet <command>`, one a line.
    """
    parser = SentenceParser(
        prog=f"{PROGRAM} {command}",
        description=description,
        epilog=example_lines([f"{command} {example}" for example in examples]),
        formatter_class=_DefaultsShown if defaults_shown else argparse.RawDescriptionHelpFormatter,
    )
    parser._negative_number_matcher = _VALUE_WITH_MINUS
    return parser


def example_lines(examples: Sequence[str]) -> str:
    """The examples, each what follows `sparse-convonet`, as they stand in the help."""
    return "\n".join(["examples:", *(f"  {PROGRAM} {example}" for example in examples)])
