"""From `sparse-convonet WORDS` to the subcommand: only its module is imported."""

from __future__ import annotations

import difflib
import importlib
import sys
import textwrap
from collections.abc import Sequence

from sparse_convonet.commands.listing import COMMANDS, GROUPS, Command, named_command
from sparse_convonet.commands.parsing import PROGRAM, example_lines
from sparse_convonet.runtime.cli import starting
from sparse_convonet.runtime.version import __version__

_EXAMPLES = {
    "": (
        "reconstruct scan.laz --out out/hall",
        "train configs/rooms/sparse64.yaml --set data.folder=data/rooms --out runs/sparse64",
        "compare building_wide configs/rooms/poisson_trimmed.yaml --data scan.laz --out out/compared",
        "data rooms --out data/rooms",
    ),
    "data": (
        "data rooms --out data/rooms",
        "data scans ~/scans --out data/scans",
        "data inspect data/rooms --out sheet.png",
    ),
}
_HELP = ("-h", "--help")
_WIDTH = 120


def main(arguments: list[str] | None = None) -> int | None:
    """Call the subcommand with what follows its name.  Raises ValueError where there is no such subcommand."""
    words = sys.argv[1:] if arguments is None else arguments
    group = words[0] if words[:1] and words[0] in GROUPS else ""
    rest = words[1:] if group else words
    if not rest or rest[0] in _HELP:
        print(help_text(group))
        return 0
    if words == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return 0
    command, after = named_command(words)
    if command is None:
        name = f"{group} {rest[0]}".lstrip()
        raise ValueError(f"{PROGRAM} {name}: no such command; {_hint(rest[0], group)}")
    with starting():
        module = importlib.import_module(command.module)
    code: int | None = module.main(after)
    return code


def help_text(group: str = "") -> str:
    """The subcommands of a group ("": those outside of groups, and the groups), a line each, and examples."""
    start = f"{PROGRAM} {group}".rstrip()
    about = GROUPS.get(group, "from a noisy scan of a whole building to one mesh")
    rows = [(each.name.removeprefix(group).lstrip(), each.summary) for each in _in_group(group)]
    if not group:
        rows += [(name, f"{summary}: {', '.join(_words(name))}") for name, summary in GROUPS.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(
        [
            f"usage: {start} COMMAND ...",
            "",
            f"{about[0].upper()}{about[1:]}.",
            "",
            "commands:",
            *(line for name, summary in rows for line in _row(f"  {name:<{width}}  ", summary)),
            "",
            example_lines(_EXAMPLES[group]),
            "",
            f"`{start} COMMAND --help` explains a command, with examples.",
        ]
    )


def _row(start: str, summary: str) -> list[str]:
    return textwrap.wrap(summary, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start))


def _in_group(group: str) -> list[Command]:
    """group: "" for those outside of groups."""
    return [each for each in COMMANDS if (each.name.split()[0] if each.name.split()[0] in GROUPS else "") == group]


def _words(group: str) -> Sequence[str]:
    return [each.name.removeprefix(group).lstrip() for each in _in_group(group)]


def _hint(word: str, group: str) -> str:
    """The nearest command, by its name, its last word or the name of its script; else all that there are."""
    everywhere = {name: name for name in GROUPS}
    for each in COMMANDS:
        everywhere |= {each.name: each.name, each.name.split()[-1]: each.name, each.tool: each.name}
    of_group = {each.name.split()[-1]: each.name for each in _in_group(group)} if group else {}
    for known in (of_group, everywhere):
        near = difflib.get_close_matches(word.removesuffix(".py"), known, n=1)
        if near:
            return f"did you mean {PROGRAM} {known[near[0]]}?"
    return f"known: {', '.join([*_words(group), *([] if group else GROUPS)])}"
