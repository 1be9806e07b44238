"""The process of the rounds, from outside: what it tells, and how it ended."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.killing import ENVIRONMENT
from tests.soak.rounds import Sample
from tests.tools.running import TOOLS

_LAST_WORDS = 1000


@dataclass
class Told:
    """samples: as they were taken.  answer: what came of all; empty where the process ended before.  findings: with the
    end of the process, where that was one."""

    samples: list[Sample] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def watch(
    command: Sequence[str],
    temporary: Path,
    said: Path,
    tell: Callable[[Told], None] = lambda told: None,
) -> Told:
    """Run it to its end.  temporary: its TMPDIR.  said: file for what it says on stderr.  tell: is called with each new
    sample."""
    told = Told()
    environment = {**ENVIRONMENT, "TMPDIR": str(temporary)}
    with said.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, env=environment, cwd=TOOLS.parent, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                found = json.loads(line)
                told.findings = found["findings"]
                if "sample" in found:
                    told.samples.append(Sample(**found["sample"]))
                    tell(told)
                else:
                    told.answer = found
    if process.returncode != 0 or not told.answer:
        words = said.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        done = told.samples[-1].done if told.samples else 0
        told.findings.append(f"the process ended with code {process.returncode} after round {done}: {words}")
    if left := sorted(path.name for path in temporary.iterdir()):
        told.findings.append(f"the process left {left[0]} in the folder for temporary files")
    return told
