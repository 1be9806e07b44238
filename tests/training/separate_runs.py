"""Trainings in processes of their own, which tests may kill; a server that has imported everything forks them."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from sparse_convonet.config.experiment import ExperimentConfig, config_from_mapping
from sparse_convonet.runtime import atomic
from sparse_convonet.runtime.cli import run_tool
from sparse_convonet.training import checkpoint
from sparse_convonet.training.loop import train
from tests.tools.running import load_tool

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def tiny_config(data: dict[str, Any] | None = None, **training: Any) -> ExperimentConfig:
    """A sparse network and training whose steps take some hundredths of a second."""
    return config_from_mapping(
        {
            "model": {
                "engine": "native",
                "widths": [8, 8],
                "pointnet_width": 8,
                "pointnet_blocks": 2,
                "feature_width": 8,
                "decoder_width": 8,
                "decoder_blocks": 1,
            },
            "data": {"scenes": "rooms", "observation": "uniform", "points": 200, "queries": 64, **(data or {})},
            "training": {
                "steps": 8,
                "batch": 2,
                "warmup_steps": 3,
                "workers": 0,
                "validation_scenes": 1,
                "validate_every": 3,
                "checkpoint_every": 2,
                "picture_every": 0,
                **training,
            },
        },
        "test",
    )


def start(target: Any, *arguments: Any) -> ForkServerProcess:
    """Call target(*arguments) in a new process with one thread, in a process group of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_alone, args=(target, arguments))
    process.start()
    return process


def exit_code_of(process: ForkServerProcess, limit_s: float = 240) -> int:
    """Wait for its end; AssertionError where that does not come in time, and it is killed."""
    process.join(limit_s)
    if process.exitcode is None:
        process.kill()
        process.join(60)
        raise AssertionError(f"a training did not end within {limit_s:g} s and was killed")
    return process.exitcode


def _alone(target: Any, arguments: tuple[Any, ...]) -> None:
    os.setpgrp()
    torch.set_num_threads(1)
    target(*arguments)


def resume(config: ExperimentConfig, out: Path) -> None:
    train(config, out, CPU, resume=True)


def run_train_tool(log: Path, *arguments: str) -> None:
    """tools/train.py as its command line would call it, stderr in a file."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
        logging.root.handlers.clear()
        run_tool(load_tool("train").main, list(arguments))


def die_while_saving(config: ExperimentConfig, out: Path, save: int, renaming: bool) -> None:
    """Kill this process within the writing of checkpoint number `save`: half-way, or before it gets its name."""
    write, rename, begun = torch.save, os.replace, 0

    def save_half(value: Any, path: Path) -> None:
        nonlocal begun
        begun += 1
        if begun < save or renaming:
            write(value, path)
            return
        whole = io.BytesIO()
        write(value, whole)
        Path(path).write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def name_not(source: Path, target: Path) -> None:
        if begun == save and Path(target).name == "last.pt":
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    checkpoint.torch.save = save_half  # type: ignore[assignment, attr-defined]
    atomic.os.replace = name_not  # type: ignore[assignment]
    train(config, out, CPU, resume=True)


def wait_for(path: Path, process: ForkServerProcess, limit_s: float = 120) -> None:
    """Return when the file is there; AssertionError where the process ends, or nothing comes for long."""
    end = time.monotonic() + limit_s
    while not path.exists():
        assert process.is_alive() and time.monotonic() < end, f"{path} did not come"
        time.sleep(0.01)
