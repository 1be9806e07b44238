"""The processes of a training, one or several: who is first, what they add up, and how they agree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

from sparse_convonet.data.batching import Shard
from sparse_convonet.runtime.cli import EXIT_BAD_INPUT
from sparse_convonet.runtime.devices import chosen_device

_TIMEOUT = timedelta(hours=2)  # the others wait while the first one validates

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among `count`, which all have the same weights and take the same steps.

    Each method but `first` and `shard` is to be called by all processes, in the same order.  A process alone gets
    back what it puts in.  device: where this process computes.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes, logs and validates."""
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        return Shard(self.rank, self.count)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of `values`, a tensor of the same shape in each process."""
        if self.count == 1:
            return values
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set in some process."""
        return (self.total(torch.tensor(flags, dtype=torch.float32, device=self.device)) > 0).tolist()

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by the sum over the processes; one that no process has stays None.

        The loss of a batch is a sum over its scenes, so this sum is the gradient of the whole batch.
        """
        parameters = list(parameters)
        if self.count == 1 or not parameters:
            return
        rows = [each.new_zeros(each.numel()) if each.grad is None else each.grad.flatten() for each in parameters]
        present = torch.tensor([each.grad is not None for each in parameters], dtype=rows[0].dtype, device=self.device)
        summed = self.total(torch.cat([*rows, present]))
        parts = summed.split([*(each.numel() for each in parameters), len(parameters)])
        for parameter, part, found in zip(parameters, parts, parts[-1].tolist(), strict=False):
            parameter.grad = part.view_as(parameter) if found else None

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, copied to all.

        Where it raises ValueError or OSError, the first process raises it and the others end with the code of bad input.
        """
        return self._share(make, lambda value: value)  # type: ignore[return-value]

    def in_first(self, make: Callable[[], T]) -> T | None:
        """Likewise, without the copies: None in the others."""
        return self._share(make, lambda _: None, keep=True)

    def _share(self, make: Callable[[], T], sent: Callable[[T], T | None], keep: bool = False) -> T | None:
        if self.count == 1:
            return make()
        value: T | None = None
        error: Exception | None = None
        if self.first:
            try:
                value = make()
            except (ValueError, OSError) as raised:
                error = raised
        message = [(error is None, None if value is None else sent(value))]
        distributed.broadcast_object_list(message, device=self.device)
        if error is not None:
            raise error
        good, received = message[0]
        if not good:
            raise SystemExit(EXIT_BAD_INPUT)
        return value if self.first and keep else received

    def wait(self) -> None:
        """Go on when all have come here."""
        self.any(False)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """This process among those that torchrun started, or alone.

    device: "auto", "cpu", "cuda", "cuda:1", ...; of several processes on "cuda" or "auto", each takes its own GPU.
    Raises ValueError where this torch cannot join processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    device = device if count > 1 and device == "cuda" else chosen_device(device)
    if count == 1:
        yield Processes(torch.device(device))
        return
    if not distributed.is_available():
        raise ValueError(f"expected a torch with torch.distributed for {count} processes, found one without; run one")
    if device == "cuda":
        local, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= found:
            raise ValueError(f"expected a GPU for each process, found {found} on this machine; start as many processes")
        device = f"cuda:{local}"
    own = torch.device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(own, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
