"""Make new shapes with a generative network: the same as `sparse-convonet sample`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.sample import main

if __name__ == "__main__":
    run_tool(main)
