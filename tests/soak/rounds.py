"""Round after round in one process: what each leaves behind, whether it makes the same bytes, what the process holds."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import statistics
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.reliability.snapshots import snapshot, temporaries

GROWTH_LIMIT_BYTES = 50_000_000
SAMPLES = 200  # of a run
_MOST_FINDINGS = 50


@dataclass(frozen=True)
class Round:
    """name: of the input and the way; the same name makes the same bytes.  kind: the way alone.  make: called with an
    empty folder, for results."""

    name: str
    kind: str
    make: Callable[[Path], None]


@dataclass(frozen=True)
class Sample:
    """What the process holds between two rounds, after a collection of garbage: resident bytes, and numbers of others."""

    done: int
    seconds: float
    resident_bytes: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def take(cls, done: int, started: float) -> Sample:
        gc.collect()
        process = psutil.Process()
        children = len(process.children(recursive=True))
        resident = process.memory_info().rss
        return cls(done, time.monotonic() - started, resident, process.num_fds(), process.num_threads(), children)


@dataclass(frozen=True)
class Folders:
    """out: for the results of one round at a time.  temporary: TMPDIR of this process, in which nothing may stay.
    inputs: in which nothing may change."""

    out: Path
    temporary: Path
    inputs: Path


@dataclass
class Same:
    """Digests of what was made, by name; compared: how many were compared with an earlier one."""

    digests: dict[str, str] = field(default_factory=dict)
    compared: int = 0

    def differs(self, name: str, made: dict[str, str]) -> str | None:
        """What differs from what was made under this name before: the files; None where nothing does."""
        digest = {file: hashlib.sha256(content.encode()).hexdigest() for file, content in made.items()}
        found = json.dumps(digest, sort_keys=True)
        before = self.digests.setdefault(name, found)
        self.compared += before is not found
        if before == found:
            return None
        former = json.loads(before)
        return ", ".join(sorted(file for file in former | digest if former.get(file) != digest.get(file)))


@dataclass
class Soak:
    """findings: what was wrong, a sentence each.  counts: rounds by kind.  warm_up: rounds before memory is looked at."""

    folders: Folders
    warm_up: int
    same: Same = field(default_factory=Same)
    samples: list[Sample] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, round_of: Callable[[int], Round], count: int) -> Iterator[Sample]:
        """Do the rounds, and tell of every sample as it is taken."""
        started, every = time.monotonic(), max(1, count // SAMPLES)
        before = _listing(self.folders.inputs)
        self.samples.append(Sample.take(0, started))
        yield self.samples[-1]
        for number in range(count):
            current = round_of(number)
            self._do(number, current)
            self.counts[current.kind] += 1
            if (now := _listing(self.folders.inputs)) != before:
                self._find(number, current, f"changed the inputs: {sorted({name for name, _ in now ^ before})[:3]}")
                before = now
            if (number + 1) % every == 0 or number + 1 == count:
                self.samples.append(Sample.take(number + 1, started))
                yield self.samples[-1]
            if len(self.findings) >= _MOST_FINDINGS:
                break
        self.findings += gains(self.samples, self.warm_up)

    def _do(self, number: int, current: Round) -> None:
        out = self.folders.out / f"{number:06d}"  # one of its own for each, as a service has
        out.mkdir(parents=True)
        try:
            current.make(out)
        except Exception as error:  # noqa: BLE001  (the next rounds go on, as a service does)
            place = traceback.extract_tb(error.__traceback__)[-1]
            self._find(number, current, f"{type(error).__name__} in {place.name}: {error}")
        else:
            if differing := self.same.differs(current.name, snapshot(out)):
                self._find(number, current, f"other bytes than before: {differing}")
        if left := temporaries(out):
            self._find(number, current, f"left {left[0]}")
        shutil.rmtree(out)
        if left := left_in(self.folders.temporary):
            self._find(number, current, f"left {left[0]} in the folder for temporary files")

    def _find(self, number: int, current: Round, what: str) -> None:
        self.findings.append(f"round {number} ({current.name}): {what}")


def left_in(folder: Path) -> list[str]:
    """What lies in a folder that should be empty, which then is emptied."""
    left = sorted(folder.iterdir())
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return [str(path) for path in left]


def _listing(folder: Path) -> set[tuple[str, int]]:
    return {(str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in folder.rglob("*")}


@dataclass(frozen=True)
class Holding:
    """After the warm-up and at the end: medians of resident bytes, the most of descriptors, threads and children."""

    warm: Sample
    end: Sample

    @classmethod
    def of(cls, samples: list[Sample], warm_up: int) -> Holding | None:
        """Of a tenth of the samples after the warm-up, and of the last tenth; None where there are not enough."""
        warm = [sample for sample in samples if sample.done > warm_up]
        tenth = max(1, len(samples) // 10)
        if len(warm) < 2 * tenth:
            return None
        return cls(_together(warm[:tenth]), _together(warm[-tenth:]))

    @property
    def growth_bytes(self) -> int:
        return self.end.resident_bytes - self.warm.resident_bytes


def _together(samples: list[Sample]) -> Sample:
    return Sample(
        samples[-1].done,
        samples[-1].seconds,
        int(statistics.median(sample.resident_bytes for sample in samples)),
        max(sample.descriptors for sample in samples),
        max(sample.threads for sample in samples),
        max(sample.children for sample in samples),
    )


def gains(samples: list[Sample], warm_up: int) -> list[str]:
    """What a process holds more of in the end than after the warm-up, a sentence each."""
    holding = Holding.of(samples, warm_up)
    if holding is None:
        return [f"expected more rounds than {warm_up} for the warm-up, found {samples[-1].done if samples else 0}"]
    found = []
    if holding.growth_bytes > GROWTH_LIMIT_BYTES:
        found.append(
            f"memory grew by {holding.growth_bytes / 1e6:.0f} MB between rounds {holding.warm.done} and "
            f"{holding.end.done}, more than {GROWTH_LIMIT_BYTES / 1e6:.0f} MB"
        )
    for what in ("descriptors", "threads", "children"):
        warm, end = getattr(holding.warm, what), getattr(holding.end, what)
        if end > warm:
            found.append(f"{what}: {warm} after the warm-up, {end} in the end")
    return found
