"""The parts of a GPU run one after the other: each has a time limit, and one that fails leaves the others standing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from sparse_convonet.config.experiment import config_to_mapping
from sparse_convonet.gpu_run.exported import export_best
from sparse_convonet.gpu_run.failures import call_told, first_line
from sparse_convonet.gpu_run.kernels import WAYS, environment_of, faster_way, make_batch, remove_batch, time_steps
from sparse_convonet.gpu_run.marked_tests import run_marked_tests
from sparse_convonet.gpu_run.report import GpuRunReport, Part, describe_machine
from sparse_convonet.gpu_run.settings import GpuRunSettings
from sparse_convonet.gpu_run.trained import summary_of, train_for
from sparse_convonet.training.starting import CHECKPOINT

logger = logging.getLogger(__name__)

# Seconds that each part may take, beyond the minutes of the training itself; eleven minutes together at most.
_TESTS_S, _BATCH_S, _TIMING_S, _AROUND_TRAINING_S, _EXPORT_S = 180, 120, 60, 180, 60
_DRY_FACTOR = 10  # a dry run is there to see that all parts work, on machines of any speed
_REPEATS, _DRY_REPEATS = 20, 1
_QUIET = {"TQDM_MININTERVAL": "10"}  # seconds between two progress bars in a log


def run_parts(settings: GpuRunSettings) -> GpuRunReport:
    """Tests, timings, training and export; what they found.  Raises ValueError where the settings do not fit together."""
    config = config_to_mapping(settings.experiment())
    out, slower = settings.out, _DRY_FACTOR if settings.dry_run else 1
    out.mkdir(parents=True, exist_ok=True)
    init = None if (out / CHECKPOINT).exists() else settings.init

    tests = _part("tests", lambda: run_marked_tests(out, slower * _TESTS_S))
    timings = _part("timings", lambda: _compare_ways(settings, config, slower))
    way = timings.found.get("way", "torch")
    arguments = {
        "config": config, "out": str(out), "minutes": settings.minutes, "init": init, "device": settings.device,
    }  # fmt: skip
    limit_s = slower * (60 * settings.minutes + _AROUND_TRAINING_S)
    environment = {**environment_of(way), **_QUIET}
    training = _part("training", lambda: call_told(train_for, arguments, environment, seconds=limit_s))
    if training.error is not None:  # what it got to before
        training = _with_what_is_left(training, settings)
    export = _part("export", lambda: call_told(export_best, {"out": str(out)}, seconds=slower * _EXPORT_S))
    return GpuRunReport(describe_machine(settings), tests, timings, training, export)


def _part(name: str, work: Callable[[], dict[str, Any]]) -> Part:
    """What a part returned, or the sentence with which it failed."""
    logger.info("%s: begins", name)
    started = time.monotonic()
    found: dict[str, Any] = {}
    error = None
    try:
        found = work()
    except (
        ValueError,
        OSError,
        RuntimeError,
    ) as failure:  # of other processes: whatever they fail with is one of these
        error = first_line(failure)
        logger.info("%s: failed: %s", name, error)
    seconds = time.monotonic() - started
    logger.info("%s: %.0f s", name, seconds)
    return Part(found, seconds, error)


def _compare_ways(settings: GpuRunSettings, config: dict[str, Any], slower: int) -> dict[str, Any]:
    """Each way in a process of its own, on one batch: a kernel that fails leaves no broken device behind."""
    batch = settings.out / "batch.pt"
    try:
        size = call_told(make_batch, {"config": config, "batch": str(batch)}, seconds=slower * _BATCH_S)
        timings, failed = {}, {}
        for way in WAYS:
            arguments = {
                "config": config, "batch": str(batch), "init": settings.init, "device": settings.device,
                "repeats": _DRY_REPEATS if settings.dry_run else _REPEATS,
            }  # fmt: skip
            try:
                seconds = slower * _TIMING_S
                timings[way] = call_told(time_steps, arguments, environment_of(way), seconds=seconds)
            except RuntimeError as failure:
                failed[way] = first_line(failure)
    finally:
        remove_batch(batch)
    if not timings:
        raise RuntimeError("timings: neither way ran: " + "; ".join(f"{way}: {why}" for way, why in failed.items()))
    way, reason = faster_way(timings)
    return {"batch": size, "ways": timings, "did_not_run": failed, "way": way, "reason": reason}


def _with_what_is_left(training: Part, settings: GpuRunSettings) -> Part:
    """A training that was ended has its curves up to there."""
    try:
        return Part(summary_of(settings.out), training.seconds, training.error)
    except OSError:
        return training
