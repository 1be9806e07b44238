"""What each of several joined processes does in the tests, and how they are started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.data.convonet.stream import FolderStream
from sparse_convonet.model import build
from sparse_convonet.training.batch_norm import synchronise_batch_norm
from sparse_convonet.training.loop import train, training_step
from sparse_convonet.training.processes import Processes
from sparse_convonet.training.stopping import StopRequest, TrainingStopped
from tests.training.separate_runs import CPU, start

Work = Callable[..., Any]


def run_joined(count: int, folder: Path, work: Work, *arguments: Any) -> list[tuple[int, Any]]:
    """Exit code of each process, and what work(processes, *arguments) gave in it (None where it raised SystemExit)."""
    folder.mkdir(parents=True, exist_ok=True)
    started = [start(_join, rank, count, folder, work, arguments) for rank in range(count)]
    results = []
    for rank, process in enumerate(started):
        process.join(240)
        if process.is_alive():
            for each in started:
                each.kill()
            raise AssertionError("the processes wait for each other")
        path = folder / f"result{rank}.pt"
        results.append((process.exitcode or 0, torch.load(path, weights_only=True) if path.exists() else None))
    return results


def _join(rank: int, count: int, folder: Path, work: Work, arguments: tuple[Any, ...]) -> None:
    processes = Processes(CPU)
    if count > 1:
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
        processes = Processes(CPU, rank, count)
    torch.save(work(processes, *arguments), folder / f"result{rank}.pt")
    if count > 1:
        distributed.destroy_process_group()


def one_step(processes: Processes, config: ExperimentConfig) -> dict[str, Any]:
    """Loss, IoU, gradients (joined, not clipped) and running statistics after one step on batch number 1."""
    torch.manual_seed(0)
    model = build(config.model)
    for parameter in model.parameters():  # layers that begin at zero would hide what is before them
        torch.nn.init.normal_(parameter, std=0.3) if not parameter.any() else None
    synchronise_batch_norm(model, processes)
    model.train()
    settings = config.training
    stream = FolderStream(config.data, "train", 0, settings.batch, 1, model.coordinates, processes.shard)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    batch = next(iter(stream))
    loss, iou = training_step(model, optimizer, batch, None, settings.batch, CPU, processes)
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    return {"loss": loss, "iou": iou, "gradients": gradients, "buffers": dict(model.named_buffers())}


def normalise(processes: Processes, affine: bool) -> dict[str, Any]:
    """Rows (17, 3) in float64 with a large mean, shared unevenly: results, gradients and statistics of a batch norm."""
    torch.manual_seed(0)
    rows, weights = 100 + torch.randn(17, 3, dtype=torch.float64), torch.randn(17, 3, dtype=torch.float64)
    own = slice(None) if processes.count == 1 else [slice(0, 5), slice(5, 17)][processes.rank]
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3, affine=affine)).double()
    synchronise_batch_norm(model, processes)
    x = rows[own].clone().requires_grad_()
    y = model(x)
    (y * weights[own]).sum().backward()
    processes.add_gradients(model.parameters())
    shared = {
        **dict(model.named_buffers()),
        **{f"{name} gradient": each.grad for name, each in model.named_parameters()},
    }
    return {"own": torch.cat([y.detach(), x.grad], dim=1), "shared": shared}  # type: ignore[list-item]


def whole_run(processes: Processes, config: ExperimentConfig, out: str, stop_in: int | None = None) -> dict[str, Any]:
    """Train, or go on; `stop_in`: the rank that is asked to stop at once."""
    stop = StopRequest()
    if stop_in == processes.rank:
        stop.number = 15
    try:
        score = train(config, Path(out), CPU, True, stop, processes)
    except TrainingStopped as stopped:
        return {"code": stopped.exit_code}
    except ValueError as error:
        return {"error": str(error)}
    return {"code": 0, "iou": score.iou}
