"""Score a model on generated rooms and buildings: the same as `sparse-convonet validate`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.validate import main

if __name__ == "__main__":
    run_tool(main)
