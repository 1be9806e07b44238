"""Score models on a data set, or one mesh against another: the same as `sparse-convonet evaluate`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.evaluate import main

if __name__ == "__main__":
    run_tool(main)
