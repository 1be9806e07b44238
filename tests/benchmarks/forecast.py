"""What a run is told to cost and what it costs: python -m tests.benchmarks.forecast SCAN... [--up z] [--also floor-plan].

One row for each scan, reconstructed on one thread as the plan chooses, in a process of its own: memory at the peak and
CPU time, its start included, beside the forecast of report.json.  --also: what is written besides.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

_HEAD = (
    "| scan | points | voxels, m | faces | memory forecast, GB | peak, GB | time forecast, s | CPU time, s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def row(scan: Path, options: list[str]) -> str:
    """One row of the table.  options: of reconstruct."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sparse_convonet", "reconstruct", str(scan), "--out", folder, "--threads", "1"]
        before = _cpu_seconds()
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = _cpu_seconds() - before
        report = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
    low, high = report["predicted"]["seconds_range"]
    told, peak = (value / 1e9 for value in (report["predicted"]["memory_bytes"], report["peak_memory_bytes"]))
    return (
        f"| {scan.name} | {report['input']['points_used']:,} | {report['voxel_size_m']:g} | {report['mesh']['faces']:,} "
        f"| {told:.1f} | {peak:.1f} | {low:.0f} to {high:.0f} | {seconds:.0f} |"
    )


def _cpu_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--up", default="auto")
    parser.add_argument("--also", nargs="+", default=[], choices=("tiles", "floor-plan", "page", "pictures"))
    options = parser.parse_args()
    print(_HEAD)
    for scan in options.scans:
        print(row(scan, ["--up", options.up, *(f"--{name}" for name in options.also)]), flush=True)


if __name__ == "__main__":
    main()
