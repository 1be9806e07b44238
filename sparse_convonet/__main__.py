"""`python -m sparse_convonet`, which pip installs as the command `sparse-convonet`."""

from __future__ import annotations

from typing import NoReturn

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.dispatch import main


def run() -> NoReturn:
    """Do what the command line says, and exit."""
    run_tool(main)


if __name__ == "__main__":
    run()
