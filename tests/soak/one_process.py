"""python -m tests.soak.one_process COUNT FOLDER: the rounds in this process, which tells of them in lines of JSON.

FOLDER holds inputs/ (of tests.soak.scans), results/ and temporary/, which is TMPDIR.  A line is a sample, or, last,
what came of all.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.timing import describe_run
from tests.soak.doors import Doors
from tests.soak.rounds import Folders, Round, Soak
from tests.soak.scans import Inputs

_ROUND_S = 600  # that a round may take; then the process shows its stacks and ends


def main() -> None:
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    inputs = folder / "inputs"
    doors = Doors.open(Inputs.load(inputs))
    folders = Folders(folder / "results", folder / "temporary", inputs)
    assert os.environ["TMPDIR"] == str(folders.temporary)
    soak = Soak(folders, warm_up=max(count // 10, len(doors.inputs.scans)))

    def round_of(number: int) -> Round:
        faulthandler.dump_traceback_later(_ROUND_S, exit=True)
        return doors.round(number)

    for sample in soak.run(round_of, count):
        _tell({"sample": asdict(sample), "findings": soak.findings})
    answer = {"counts": soak.counts, "digests": soak.same.digests, "compared": soak.same.compared}
    _tell({**answer, "findings": soak.findings, "warm_up": soak.warm_up, "machine": describe_run()})


def _tell(line: dict) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
