"""Turn a published checkpoint into a weights file: the same as `sparse-convonet import-official`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.import_official import main

if __name__ == "__main__":
    run_tool(main)
