"""Make a data set of a folder of meshes: the same as `sparse-convonet data meshes`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.data.meshes import main

if __name__ == "__main__":
    run_tool(main)
