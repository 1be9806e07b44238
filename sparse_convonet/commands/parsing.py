"""Parsers whose help ends with examples."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

# What argparse takes for a value though it begins with a minus: -1,0,2 and the axes -x, -y, -z.
_VALUE_WITH_MINUS = re.compile(r"-([\d.][\d.,eE+-]*|[xyz]|nan|inf)$")
PROGRAM = "sparse-convonet"


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
    parser = argparse.ArgumentParser(
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
