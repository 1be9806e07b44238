"""Turn what was observed of one object into a mesh: the same as `sparse-convonet object`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.object import main

if __name__ == "__main__":
    run_tool(main)
