"""Print a script for a shell's completion: the same as `sparse-convonet completion`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.completion import main

if __name__ == "__main__":
    run_tool(main)
