"""Render meshes from all around with their cameras: the same as `sparse-convonet data views`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.views import main

if __name__ == "__main__":
    run_tool(main)
