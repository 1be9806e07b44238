"""Score a mesh on what a scanner could see: the same as `sparse-convonet score`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.score import main

if __name__ == "__main__":
    run_tool(main)
