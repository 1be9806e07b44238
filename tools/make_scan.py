"""Scan the mesh of a building virtually: the same as `sparse-convonet scan`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.scan import main

if __name__ == "__main__":
    run_tool(main)
