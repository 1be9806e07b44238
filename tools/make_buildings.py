"""Make the benchmark of whole buildings: the same as `sparse-convonet data buildings`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.buildings import main

if __name__ == "__main__":
    run_tool(main)
