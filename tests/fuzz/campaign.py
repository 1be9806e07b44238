"""Many inputs for one target, in a worker process that may die: a finding then as well."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import resource
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.memory import memory_of_process
from tests.fuzz.minimise import minimise
from tests.fuzz.registry import all_targets
from tests.fuzz.sandbox import MEMORY_LIMIT_BYTES, Sandbox, Verdict, sandbox

_STALL_S, _DEADLOCK_S = 30.0, 600.0  # of processor and of wall time on one input: code that no signal interrupts
_POLL_S = 0.2
_REPORT_EVERY, _SAVE_EVERY = 200, 2000


@dataclass
class Progress:
    """How far a target has come: inputs by outcome, and the faults by signature, each with its first input."""

    seed: int
    done: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)


def run_target(
    name: str, seed: int, count: int, folder: Path, again: bool, tick: Callable[[Progress], None]
) -> Progress:
    """Inputs 0 to count - 1 of a seed; those of an earlier run with this seed are not repeated, unless `again`.

    What is found lies in folder/<name>/: progress.json, and the input and the traceback of each fault.
    """
    place = folder / name.replace(" ", "_")
    place.mkdir(parents=True, exist_ok=True)
    progress = Progress(seed) if again else _resume(place, seed)
    started, before = time.monotonic(), progress.seconds
    while progress.done < count:
        _run_worker(name, progress, count, place, tick)
        progress.seconds = before + time.monotonic() - started
        _save(place, progress)
    return progress


def _resume(place: Path, seed: int) -> Progress:
    path = place / "progress.json"
    if not path.is_file():
        return Progress(seed)
    found = Progress(**json.loads(path.read_text(encoding="utf-8")))
    return found if found.seed == seed else Progress(seed)


def _save(place: Path, progress: Progress) -> None:
    with atomic_path(place / "progress.json") as temporary:
        temporary.write_text(json.dumps(asdict(progress), indent=1), encoding="utf-8")


def _run_worker(name: str, progress: Progress, count: int, place: Path, tick: Callable[[Progress], None]) -> None:
    """One process, until all is done or it dies; the input on which it died counts as done, and as a fault."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    current = context.Value("q", -1, lock=False)
    worker = context.Process(
        target=_work, args=(name, progress.seed, progress.done, count, str(place), theirs, current), daemon=True
    )
    worker.start()
    theirs.close()
    index, since, worked = -1, time.monotonic(), 0.0
    why = ""
    while True:
        try:
            while ours.poll(_POLL_S):
                _take(progress, place, ours.recv())
                tick(progress)
        except EOFError:
            break
        if current.value != index:
            index, since, worked = current.value, time.monotonic(), _processor_seconds(worker.pid or 0)
        elif index >= 0 and (
            _processor_seconds(worker.pid or 0) - worked > _STALL_S or time.monotonic() - since > _DEADLOCK_S
        ):
            why = "hang"
        elif (memory_of_process(worker.pid or 0) or 0) > 4 * MEMORY_LIMIT_BYTES:
            why = "memory"
        if why:
            worker.kill()
            break
    worker.join(_DEADLOCK_S)
    if worker.exitcode is None:
        why = "hang"
        worker.kill()
        worker.join()
    if worker.exitcode and current.value < 0:
        raise RuntimeError(
            f"{name}: the worker ended with {worker.exitcode} before the first input; see {place}/said.txt"
        )
    if worker.exitcode or why:
        content = all_targets()[name].input(progress.seed, current.value)
        verdict = Verdict("", why or f"crash ({worker.exitcode})", "the process")
        _take(progress, place, {"at": current.value + 1, "fault": (current.value, verdict, content)})


def _processor_seconds(process: int) -> float:
    """What a process has taken so far, all of its threads together; 0 where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _take(progress: Progress, place: Path, message: dict[str, Any]) -> None:
    """Note what the worker says, and write a fault that is new."""
    progress.done = message["at"]
    progress.read += message.get("read", 0)
    progress.refused += message.get("refused", 0)
    if "fault" not in message:
        if progress.done % _SAVE_EVERY == 0:
            _save(place, progress)
        return
    index, verdict, content = message["fault"]
    known = progress.faults.setdefault(verdict.signature, {"count": 0, "index": index, "file": ""})
    known["count"] += 1
    if content is not None and not known["file"]:
        stem = f"{verdict.fault.split(':')[0].replace(' ', '_')[:40]}-{zlib.crc32(verdict.signature.encode()):08x}"
        known["file"] = str(place / f"{stem}.bin")
        Path(known["file"]).write_bytes(content)
        (place / f"{stem}.txt").write_text(
            f"{verdict.signature}\ninput {index}\n\n{verdict.detail}\n", encoding="utf-8"
        )
    _save(place, progress)


def _work(name: str, seed: int, start: int, count: int, place: str, out: Connection, current: Any) -> None:
    """The worker: judge inputs start to count - 1; say how it goes now and then, and each fault."""
    logging.disable(logging.CRITICAL)
    said = os.open(str(Path(place) / "said.txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 2)
    os.dup2(said, 1)
    target = all_targets()[name]
    seen: set[str] = set()
    with sandbox(target) as box:
        for sample in target.samples:
            box.judge(sample)
        _limit_memory()
        counts = {"read": 0, "refused": 0}
        for index in range(start, count):
            current.value = index
            content = target.input(seed, index)
            verdict = box.judge(content)
            if verdict.fault:
                small = None if verdict.signature in seen else _smaller(box, content, verdict)
                seen.add(verdict.signature)
                out.send({"at": index + 1, **counts, "fault": (index, verdict, small)})
                counts = {"read": 0, "refused": 0}
                continue
            counts[verdict.outcome] += 1
            if (index + 1) % _REPORT_EVERY == 0:
                out.send({"at": index + 1, **counts})
                counts = {"read": 0, "refused": 0}
        out.send({"at": count, **counts})
    out.close()


def _smaller(box: Sandbox, content: bytes, verdict: Verdict) -> bytes:
    if verdict.fault in ("hang", "memory"):
        return content  # each attempt takes long, or the next one shows nothing
    return minimise(content, lambda shorter: box.judge(shorter).signature == verdict.signature)


def _limit_memory() -> None:
    """Allocations beyond what the samples took and the limit fail."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY_LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
