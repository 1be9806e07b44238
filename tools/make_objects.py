"""Make a data set of single objects: the same as `sparse-convonet data objects`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.objects import main

if __name__ == "__main__":
    run_tool(main)
