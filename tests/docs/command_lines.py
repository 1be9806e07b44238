"""Command lines of the documentation, asked of the parsers that would read them; nothing is run."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from sparse_convonet.commands.listing import COMMANDS, GROUPS, named_command
from sparse_convonet.commands.parsing import PROGRAM
from sparse_convonet.config.experiment import load_config
from tests.docs.pages import ROOT, Page, shell_words

_TOOL = re.compile(r"(?:\.?/?|\S*/)tools/(\w+)\.py")
_MODULE = re.compile(r"tests\.(benchmarks|fuzz)")
_MAKE_VARIABLE = re.compile(r"([A-Z_]+)=\S*")
_OF_THE_PROGRAM: tuple[list[str], ...] = (["--version"], ["--help"], ["-h"], [])


def wrong_lines(page: Page) -> list[str]:
    """What is wrong with the commands on a page, one sentence each: "FILE:LINE: COMMAND: WHAT"."""
    found = []
    for whole, lines in ((True, page.shell_lines()), (False, page.inline_code())):
        for number, line in lines:
            for words in shell_words(_without_brackets(line)):
                found += [f"{page.path.name}:{number}: {line}: {each}" for each in wrong_command(words, whole=whole)]
    return found


def wrong_command(words: list[str], *, whole: bool) -> Iterator[str]:
    """What is wrong with a simple command.  whole: all that it needs must be there; in prose it may be named alone."""
    for at, word in enumerate(words):
        if word.rpartition("/")[2] == PROGRAM:
            yield from _wrong_call(words[at + 1 :], whole=whole)
            return
        tool = _TOOL.fullmatch(word)
        if tool is not None and (whole or words[at + 1 :]):
            yield from _wrong_tool(tool[1], words[at + 1 :], whole=whole)
            return
        if word == "-m" and words[at + 1 : at + 2] == ["sparse_convonet"]:
            yield from _wrong_call(words[at + 2 :], whole=whole)
            return
        if word == "-m" and at + 1 < len(words) and _MODULE.fullmatch(words[at + 1]):
            source = ROOT / words[at + 1].replace(".", "/") / "__main__.py"
            yield from _wrong_in_source(source, words[at + 2 :])
            return
    if words[0] == "make":
        yield from _wrong_make(words[1:])


def _without_brackets(line: str) -> str:
    """`[--formats ply]`, which may be left out, is checked as if it stood there; so is one of `a | b` in code."""
    return re.sub(r"\[(--[^\]]+)\]", r"\1", line)


def _wrong_call(words: list[str], *, whole: bool) -> Iterator[str]:
    if words in _OF_THE_PROGRAM or words[:1] in (["..."], ["COMMAND"]):
        return
    command, rest = named_command(words)
    if command is None:
        name = " ".join(words[: 2 if words[0] in GROUPS else 1])
        if not (name in GROUPS or words[1:2] == ["..."]):
            yield f"no command {name}"
        return
    parser = importlib.import_module(command.module)._parser()
    yield from _wrong_options(parser, rest, whole=whole)
    if command.name in ("train", "evaluate"):
        yield from _wrong_settings(rest)


def _wrong_tool(name: str, words: list[str], *, whole: bool) -> Iterator[str]:
    if not (ROOT / "tools" / f"{name}.py").is_file():
        yield f"no tools/{name}.py"
        return
    command = next((each for each in COMMANDS if each.tool == name), None)
    if command is None:
        yield from _wrong_in_source(ROOT / "tools" / f"{name}.py", words)
    else:
        yield from _wrong_call([*command.name.split(), *words], whole=whole)


def _wrong_options(parser: argparse.ArgumentParser, words: list[str], *, whole: bool) -> Iterator[str]:
    """What the parser says of the words.  Not whole: as if nothing were required."""
    if {"-h", "--help"} & set(words):
        return
    required = [action for action in parser._actions if action.required]
    if not whole:
        for action in required:
            action.required = False
            if not action.option_strings:
                action.nargs = "*"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parser.parse_args([_filled(parser, words, at) for at in range(len(words))])
    except SystemExit:
        yield said.getvalue().strip().splitlines()[-1]


def _filled(parser: argparse.ArgumentParser, words: list[str], at: int) -> str:
    """The word; instead of a placeholder (COUNT, NAME) one of the choices, or a number, where the option takes these."""
    word = words[at]
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*\.*", word):
        return word
    before = words[at - 1] if at else ""
    action = next((each for each in parser._actions if before in each.option_strings), None)
    action = action or next((each for each in parser._actions if not each.option_strings), None)
    if action is None:
        return word
    if action.choices:
        return str(next(iter(action.choices)))
    return "1" if action.type in (int, float) else word


def _wrong_settings(words: list[str]) -> Iterator[str]:
    """Whether --set names keys that the configuration has, where it is one of the repository."""
    configs = [ROOT / word for word in words if word.startswith("configs/")]
    values = [word for word in words if re.match(r"[a-z_]+\.[a-z_]+=", word)]
    if len(configs) == 1 and configs[0].is_file() and values:
        try:
            load_config(configs[0], [value.replace("=FOLDER", "=data/mine") for value in values])
        except ValueError as error:
            yield str(error)


def _wrong_make(words: list[str]) -> Iterator[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w -]*?):(?!=)", text, re.M))
    known = {name for names in targets for name in names.split()}
    for word in words:
        variable = _MAKE_VARIABLE.fullmatch(word)
        if variable is not None and not re.search(rf"\b{variable[1]}\b", text):
            yield f"the Makefile has no variable {variable[1]}"
        elif variable is None and word not in known:
            yield f"the Makefile has no target {word}"


def _wrong_in_source(path: Path, words: list[str]) -> Iterator[str]:
    """What is wrong with the options of a program whose import takes seconds: their names are read from its source.

    Of values only those are checked that stand in the source as keys of a table of choices.
    """
    text = path.read_text(encoding="utf-8")
    options = set(re.findall(r"""add(?:_argument)?\(\s*"(--[\w-]+)""", text))
    keys = set(re.findall(r'^ {4}"(\w+)": Benchmark\(', text, re.M))
    for at, word in enumerate(words):
        if word.startswith("--") and word not in {*options, "--help"}:
            yield f"unrecognized arguments: {word}"
        if keys and at and words[at - 1] == "--only" and word != "NAME" and word not in keys:
            yield f"invalid choice: {word!r}"
