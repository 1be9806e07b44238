"""python -m tests.fuzz [--only READER ...] [--count N] [--seed S] [--replay FILE]: damaged files for every reader.

A full run feeds 200,000 inputs to each reader and takes hours; it resumes where it
was stopped, and repeats nothing with the same seed unless --again is given.  Whatever is neither read nor refused in
one sentence is a fault: a crash, another exception, more than 5 s, more than 1 GB, another file opened.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from tests.fuzz.campaign import Progress, run_target
from tests.fuzz.registry import all_targets
from tests.fuzz.sandbox import sandbox

OUT = Path("out/fuzz")


def main(arguments: list[str] | None = None) -> int:
    targets = all_targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=targets, default=list(targets), metavar="READER")
    parser.add_argument("--count", type=int, help="inputs per reader (default: see --list)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument(
        "--again", action="store_true", help="from the first input, also where an earlier run was further"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"where faults are kept (default: {OUT})")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="one input, by default for the reader of its folder"
    )
    parser.add_argument("--list", action="store_true", help="readers and their numbers of inputs")
    options = parser.parse_args(arguments)
    if options.list:
        for target in targets.values():
            print(f"{target.name:20} {target.count:7d}")
        return 0
    if options.replay:
        given = options.only[0] if options.only != list(targets) else options.replay.parent.name.replace("_", " ")
        return _replay(options.replay, given)
    faults = 0
    print(f"| {'reader':18} | {'inputs':>8} | {'read':>8} | {'refused':>8} | {'faults':>6} | {'seconds':>7} |")
    print(f"|{'-' * 20}|{'-' * 9}:|{'-' * 9}:|{'-' * 9}:|{'-' * 7}:|{'-' * 8}:|")
    for name in options.only:
        count = options.count or targets[name].count
        with tqdm(total=count, desc=name, unit="inputs", leave=False, file=sys.stderr, mininterval=1) as bar:

            def tick(progress: Progress, bar: tqdm = bar) -> None:
                bar.set_postfix(faults=len(progress.faults), refresh=False)
                bar.update(progress.done - bar.n)

            progress = run_target(name, options.seed, count, options.out, options.again, tick)
        faults += len(progress.faults)
        numbers = f"{progress.done:8d} | {progress.read:8d} | {progress.refused:8d} | {len(progress.faults):6d}"
        print(f"| {name:18} | {numbers} | {progress.seconds:7.0f} |", flush=True)
        for signature, fault in progress.faults.items():
            replay = f"python -m tests.fuzz --only '{name}' --replay {fault['file']}"
            print(f"  {fault['count']} x {signature}\n      {replay}", flush=True)
    return 1 if faults else 0


def _replay(path: Path, name: str) -> int:
    with sandbox(all_targets()[name]) as box:
        verdict = box.judge(path.read_bytes())
    print(verdict.signature if verdict.fault else verdict.outcome)
    print(verdict.detail)
    return 1 if verdict.fault else 0


if __name__ == "__main__":
    sys.exit(main())
