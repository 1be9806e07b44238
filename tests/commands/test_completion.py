"""`sparse-convonet completion`: what a shell offers, asked of the shell itself."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from sparse_convonet.commands.completion import completion_script, completion_words
from sparse_convonet.commands.listing import COMMANDS, GROUPS

BASH = shutil.which("bash") or ""
needs_bash = pytest.mark.skipif(not BASH, reason="no bash on the path")


@pytest.fixture(scope="module")
def script() -> str:
    return completion_script("bash")


def offered(script: str, *words: str) -> list[str]:
    """What bash offers for the last of the words, by the function that it has registered for the program."""
    program = (
        f'{script}\nCOMP_WORDS=("$@"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); set -eu\n'
        "_sparse_convonet || true; complete -p sparse-convonet >&2; ((${#COMPREPLY[@]} == 0)) || "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = [BASH, "--norc", "-c", program, "bash", "sparse-convonet", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "complete -o default -F _sparse_convonet sparse-convonet\n"
    return done.stdout.split()


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rec"], ["reconstruct"]),
        (["s"], ["sample", "scan", "score"]),
        (["--v"], ["--version"]),
        (["data", "wa"], ["watertight"]),
        (["reconstruct", "--vox"], ["--voxel-size"]),
        (["reconstruct", "scan.laz", "--out", "out", "--si"], ["--simplify"]),
        (["reconstruct", "--engine", "n"], ["native"]),
        (["reconstruct", "--up", "-"], ["-x", "-y", "-z"]),
        (["data", "rooms", "--scenes", ""], ["papers", "rooms", "buildings"]),
        (["data", "rooms", "--pl"], ["--plane-density"]),
        (["evaluate", "buildings", "--mem"], ["--memory"]),
        (["evaluate", "some.yaml", "--sp"], ["--split"]),
        (["evaluate", "buildings", "--sp"], []),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["reconstruct", "scan"], []),  # files, which bash itself then offers
        (["train", "configs/"], []),
        (["data", "inspect", ""], []),
        (["nothing", "--o"], []),
    ],
)
def test_bash_offers_commands_options_and_their_values(script: str, words: list[str], expected: list[str]) -> None:
    assert offered(script, *words) == expected


@needs_bash
def test_bash_offers_every_command_and_every_group(script: str) -> None:
    assert offered(script, "") == [*(each.name for each in COMMANDS if " " not in each.name), *GROUPS]
    for group in GROUPS:
        assert offered(script, group, "") == [
            each.name.split()[1] for each in COMMANDS if each.name.startswith(f"{group} ")
        ]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_hold_all_options_and_are_syntax_that_their_shell_reads(shell: str) -> None:
    text, words = completion_script(shell), completion_words()
    assert set(words.options) == {"", *(each.name for each in COMMANDS)}
    for found in words.options.values():
        assert " ".join(found) in text
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed: its script is not read")
    done = subprocess.run([program, "-n"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
