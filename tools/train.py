"""Train a model: the same as `sparse-convonet train`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.train import main

if __name__ == "__main__":
    run_tool(main)
