"""Make a data set of rooms or buildings: the same as `sparse-convonet data rooms`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.rooms import main

if __name__ == "__main__":
    run_tool(main)
