"""What a soak came to: a file of numbers, and a line for the documentation."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.soak.rounds import GROWTH_LIMIT_BYTES, Holding
from tests.soak.tool_runs import ToolRuns
from tests.soak.watching import Told

_FULL_ROUNDS, _FULL_TOOLS = 10_000, 200


@dataclass(frozen=True)
class SoakReport:
    """told: None where there were no rounds in one process; tools: None where there were no runs of the tool."""

    told: Told | None
    tools: ToolRuns | None
    tool_seconds: float

    @property
    def findings(self) -> list[str]:
        return [*(self.told.findings if self.told else []), *(self.tools.findings if self.tools else [])]

    @property
    def holding(self) -> Holding | None:
        return Holding.of(self.told.samples, self.told.answer.get("warm_up", 0)) if self.told else None

    def line(self) -> str:
        """The figures in a sentence or two."""
        parts = []
        if self.told and self.told.samples:
            first, last = self.told.samples[0], self.told.samples[-1]
            parts.append(f"{last.done:,} reconstructions in one process in {last.seconds / 60:.0f} min")
            if self.holding:
                warm, end = self.holding.warm, self.holding.end
                held = [each.resident_bytes / 1e6 for each in (first, warm, end)]
                parts.append(
                    f"memory {held[0]:.0f} MB at the start, {held[1]:.0f} MB at round {warm.done:,}, {held[2]:.0f} MB at "
                    f"the end; descriptors {warm.descriptors} and {end.descriptors}, threads {warm.threads} and "
                    f"{end.threads}, processes {warm.children} and {end.children}"
                )
            parts.append(f"{self.told.answer.get('compared', 0):,} results the same as an earlier one")
            full_min = _FULL_ROUNDS * last.seconds / max(1, last.done) / 60
            parts.append(f"{_FULL_ROUNDS:,} would take {full_min:.0f} min at this rate")
        if self.tools:
            runs = sum(self.tools.counts.values())
            counted = ", ".join(f"{count} {kind}" for kind, count in sorted(self.tools.counts.items()))
            parts.append(f"{runs} runs of the tool in {self.tool_seconds / 60:.0f} min ({counted})")
            parts.append(f"{self.tools.same.compared} results the same as an earlier one")
            full_min = _FULL_TOOLS * self.tool_seconds / max(1, runs) / 60
            parts.append(f"{_FULL_TOOLS} would take {full_min:.0f} min at this rate")
        return "; ".join([*parts, f"{len(self.findings)} findings"]) + "."

    def write(self, folder: Path, command: str) -> None:
        """soak.json and soak.md in the folder."""
        content: dict[str, Any] = {"command": command, "limit_bytes": GROWTH_LIMIT_BYTES, "findings": self.findings}
        if self.told:
            content["reconstructions"] = {
                **{name: self.told.answer.get(name) for name in ("machine", "warm_up", "counts", "compared")},
                "holding": asdict(self.holding) if self.holding else None,
                "samples": [asdict(sample) for sample in self.told.samples],
            }
        if self.tools:
            content["tools"] = {
                "seconds": self.tool_seconds,
                "counts": self.tools.counts,
                "compared": self.tools.same.compared,
            }
        (folder / "soak.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / "soak.md").write_text(self.line() + "\n", encoding="utf-8")
