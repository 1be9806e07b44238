"""Look at a data set: the same as `sparse-convonet data inspect`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.inspect import main

if __name__ == "__main__":
    run_tool(main)
