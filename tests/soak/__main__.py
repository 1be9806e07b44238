"""python -m tests.soak [--reconstructions N] [--tools N] [--out FOLDER]: whether long-running services survive.

Thousands of small scans of all formats are reconstructed in one process, in every way that Python offers, and then by
the command line tool, a process each, among them bad inputs and runs that are stopped.  Findings, with which this ends
with code 1: a crash, a wrong exit code, no single sentence, memory that grew by more than 50 MB after the warm-up, file
descriptors, threads or processes gained, a file left anywhere, other bytes than the first time.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from tqdm import tqdm

from tests.soak.report import SoakReport
from tests.soak.rounds import Folders, Same
from tests.soak.scans import Inputs
from tests.soak.tool_runs import ToolRuns
from tests.soak.watching import Told, watch

OUT = Path("out/soak")
_OWN = ("inputs", "results", "temporary")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reconstructions", type=int, default=10_000, metavar="N", help="in one process (10000)")
    parser.add_argument("--tools", type=int, default=200, metavar="N", help="runs of the tool (200)")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where the report is written (default: {OUT})")
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    for name in _OWN:
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    inputs = Inputs.write(out / "inputs")
    if 0 < options.reconstructions <= (least := len(inputs.scans)):
        for name in _OWN:
            shutil.rmtree(out / name)
        parser.error(
            f"--reconstructions: expected 0, or more than the {least} that warm up, found {options.reconstructions}"
        )
    told = _rounds(options.reconstructions, out) if options.reconstructions > 0 else None
    same = Same(dict(told.answer.get("digests", {})) if told else {})
    started = time.monotonic()
    tools = _tools(options.tools, inputs, out, same) if options.tools > 0 else None
    report = SoakReport(told, tools, time.monotonic() - started)
    command = " ".join(["python -m tests.soak", *(sys.argv[1:] if arguments is None else arguments)])
    report.write(out, command)
    for name in _OWN:
        shutil.rmtree(out / name)
    for finding in report.findings:
        print(f"FOUND {finding}")
    print(report.line())
    return 1 if report.findings else 0


def _rounds(count: int, out: Path) -> Told:
    command = [sys.executable, "-m", "tests.soak.one_process", str(count), str(out)]
    shown: list[str] = []
    with _bar("reconstructions", count) as bar:

        def tell(told: Told) -> None:
            for finding in told.findings[len(shown) :]:
                bar.write(finding, file=sys.stderr)
                shown.append(finding)
            bar.set_postfix(MB=told.samples[-1].resident_bytes // 1_000_000, findings=len(told.findings), refresh=False)
            bar.update(told.samples[-1].done - bar.n)

        return watch(command, out / "temporary", out / "said.txt", tell)


def _tools(count: int, inputs: Inputs, out: Path, same: Same) -> ToolRuns:
    runs = ToolRuns(inputs, Folders(out / "results", out / "temporary", out / "inputs"), same)
    with _bar("runs of the tool", count) as bar:
        for done in runs.run(count):
            bar.set_postfix(findings=len(runs.findings), refresh=False)
            bar.update(done - bar.n)
    return runs


def _bar(what: str, count: int) -> tqdm:
    return tqdm(total=count, desc=what, file=sys.stderr, mininterval=1)


if __name__ == "__main__":
    sys.exit(main())
