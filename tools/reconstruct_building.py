"""Turn a scan into one mesh: the same as `sparse-convonet reconstruct`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.reconstruct import main

if __name__ == "__main__":
    run_tool(main)
