"""Turn the weights of a run into a small file: the same as `sparse-convonet export`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.export import main

if __name__ == "__main__":
    run_tool(main)
