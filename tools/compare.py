"""Put methods side by side on the same scans: the same as `sparse-convonet compare`."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    from sparse_convonet.commands.compare import main

if __name__ == "__main__":
    run_tool(main)
