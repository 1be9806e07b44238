"""Draw the curves of trainings: the same as `sparse-convonet curves`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.curves import main

if __name__ == "__main__":
    run_tool(main)
