"""Print a script with which a shell completes `sparse-convonet`: commands, their options, and what these may be.

Everything else is completed with names of files.  Keep what it prints where the shell looks for it:
~/.local/share/bash-completion/completions/sparse-convonet, a file _sparse-convonet in a folder of zsh's fpath, or
~/.config/fish/completions/sparse-convonet.fish.  The script holds the options as they are now: print it again after an
update.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sparse_convonet.commands.listing import COMMANDS, GROUPS
from sparse_convonet.commands.parsing import PROGRAM, command_parser

EXAMPLES = ("bash", "zsh", "fish")
_OF_THE_PROGRAM = ("--help", "--version")


@dataclass(frozen=True)
class CompletionWords:
    """What may stand where, by the command that was typed before ("": none yet; "data": a group).

    names: words without a dash.  options: long names.  values: "command|--option" -> what the option may be.
    Where nothing is said, a file may stand.
    """

    names: Mapping[str, tuple[str, ...]]
    options: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[str, ...]]


def main(arguments: list[str] | None = None) -> None:
    print(completion_script(_parser().parse_args(arguments).shell), end="")


def completion_script(shell: str) -> str:
    """The script for one of the shells, made from the parsers of all commands.  Raises KeyError for another shell."""
    return _SCRIPTS[shell](completion_words())


def completion_words() -> CompletionWords:
    """All commands, their options and the choices of these, as their parsers say."""
    names = {"": (*(each.name for each in COMMANDS if " " not in each.name), *GROUPS)}
    for group in GROUPS:
        names[group] = tuple(each.name.split()[1] for each in COMMANDS if each.name.startswith(f"{group} "))
    options: dict[str, tuple[str, ...]] = {"": _OF_THE_PROGRAM}
    values: dict[str, tuple[str, ...]] = {}
    for command in COMMANDS:
        parser: argparse.ArgumentParser = importlib.import_module(command.module)._parser()
        for action in parser._actions:
            long_names = tuple(name for name in action.option_strings if name.startswith("--"))
            choices = tuple(str(choice) for choice in action.choices or ())
            options[command.name] = (*options.get(command.name, ()), *long_names)
            if choices and not long_names:
                names[command.name] = choices
            elif choices:
                values |= {f"{command.name}|{name}": choices for name in long_names}
    return CompletionWords(names, options, values)


_CASES = """\
    case "$command|$before" in
{values}
    *) case "$word" in
        -*) case "$command" in
{options}
            esac ;;
        *) case "$command" in
{names}
            esac ;;
        esac ;;
    esac
"""  # of bash and zsh
_BASH = """\
# Completion of {program} in bash, made by: {program} completion bash
_sparse_convonet() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="" found=""
    ((COMP_CWORD > 1)) && command="${{COMP_WORDS[1]}}"
    case "$command ${{COMP_WORDS[2]-}}" in {pairs}) ((COMP_CWORD > 2)) && command="$command ${{COMP_WORDS[2]}}" ;; esac
{cases}    COMPREPLY=($(compgen -W "$found" -- "$word"))
}}
complete -o default -F _sparse_convonet {program}
"""
_ZSH = """\
#compdef {program}
# Completion of {program} in zsh, made by: {program} completion zsh
_sparse_convonet() {{
    local word="${{words[CURRENT]}}" before="${{words[CURRENT-1]}}" command="" found=""
    ((CURRENT > 2)) && command="${{words[2]}}"
    case "$command ${{words[3]-}}" in {pairs}) ((CURRENT > 3)) && command="$command ${{words[3]}}" ;; esac
{cases}    if [[ -n "$found" ]]; then compadd -- ${{=found}}; else _files; fi
}}
if [[ "$funcstack[1]" == _{program} ]]; then _sparse_convonet "$@"; else compdef _sparse_convonet {program}; fi
"""
_FISH = """\
# Completion of {program} in fish, made by: {program} completion fish
function __sparse_convonet_words
    set -l given (commandline -opc)
    set -l command ""
    test (count $given) -gt 1; and set command $given[2]
    contains -- "$command $given[3]" {pairs}; and set command "$command $given[3]"
    switch "$command|$given[-1]"
{values}
        case '*'
            if string match -q -- '-*' (commandline -ct)
                switch "$command"
{options}
                end
            else
                switch "$command"
{names}
                end
            end
    end
end
complete -c {program} -f -a '(__sparse_convonet_words)'
complete -c {program} -F -n 'test -z "$(__sparse_convonet_words)"'
"""


def _case_lines(words: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Branches of `case` in bash and zsh."""
    for key, found in words.items():
        yield f'        "{key}") found="{" ".join(found)}" ;;'


def _switch_lines(words: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Branches of `switch` in fish."""
    for key, found in words.items():
        yield f"        case '{key}'; printf '%s\\n' {' '.join(found)}"


def _filled(
    template: str, lines: Callable[[Mapping[str, tuple[str, ...]]], Iterator[str]], between: str
) -> Callable[[CompletionWords], str]:
    """What fills a template with all words.  between: the commands of two words, where it names them."""
    return lambda words: template.replace("{cases}", _CASES).format(
        program=PROGRAM,
        pairs=between.join(f'"{each.name}"' for each in COMMANDS if " " in each.name),
        values="\n".join(lines(words.values)),
        options="\n".join(lines(words.options)),
        names="\n".join(lines(words.names)),
    )


_SCRIPTS: dict[str, Callable[[CompletionWords], str]] = {
    "bash": _filled(_BASH, _case_lines, "|"),
    "zsh": _filled(_ZSH, _case_lines, "|"),
    "fish": _filled(_FISH, _switch_lines, " "),
}


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("completion", __doc__, EXAMPLES)
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="that is to complete")
    return parser
