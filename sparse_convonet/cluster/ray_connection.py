"""Start Ray on this machine or join a Ray cluster, with refusals of one sentence and within a time limit."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from sparse_convonet.runtime.isolated import OverBudgetError, call_isolated
from sparse_convonet.runtime.refusals import one_line, require_package

LOCAL = "local"  # starts Ray on this machine
AUTO = "auto"  # joins the cluster that RAY_ADDRESS names, or the one that was started on this machine

_ADDRESS = re.compile(r"(ray://)?(\[[0-9A-Fa-f:.]+\]|[^\s\[\]/:]+):[0-9]{1,5}")
_ANSWER_S = 5.0  # for the head to accept a connection
_JOIN_S = 30.0  # Ray itself tries for minutes
_OBJECT_STORE_BYTES = 100_000_000  # results go to files
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray prints its own view of lost machines, with pages of its log, between the lines of the tool.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}


def import_ray() -> Any:
    """The package ray, told to send no statistics; it reads these variables when it is imported."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    return require_package("ray", "cluster", "running on several machines")


@contextmanager
def started_ray(cpus: int) -> Iterator[None]:
    """Ray on this machine, as long as the block runs."""
    with _connected(LOCAL, num_cpus=cpus, object_store_memory=_OBJECT_STORE_BYTES, include_dashboard=False):
        yield


@contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """Part of the cluster at `address` (auto, HOST:PORT or ray://HOST:PORT), as long as the block runs.

    Raises ValueError for an address of no such form, ConnectionError where no cluster answers in time.
    """
    if address != AUTO and not _ADDRESS.fullmatch(address):
        raise ValueError(f"cluster: expected {LOCAL}, {AUTO}, HOST:PORT or ray://HOST:PORT, found {one_line(address)}")
    known = os.environ.get("RAY_ADDRESS", AUTO) if address == AUTO else address
    if _ADDRESS.fullmatch(known) and not answers(known):
        raise ConnectionError(
            f"{known}: no Ray cluster answers there within {_ANSWER_S:g} s; check the address and the firewall, "
            "or start one with: ray start --head"
        )
    # Ray tries for minutes and cannot be interrupted meanwhile, so that another process tries first.
    try:
        refusal = call_isolated(try_to_join, {"address": address}, seconds=_JOIN_S).result["refusal"]
    except OverBudgetError:
        refusal = f"no answer as of a Ray cluster within {_JOIN_S:g} s"
    except RuntimeError as error:  # the process failed, its last words are Ray's
        refusal = str(error).strip().splitlines()[-1]
    if refusal and known == AUTO:
        raise ConnectionError(
            f"{AUTO}: found no Ray cluster on this machine ({one_line(refusal)}); start one with: ray start --head, or set "
            "RAY_ADDRESS"
        )
    if refusal:
        raise ConnectionError(
            f"{known}: cannot join a Ray cluster there ({one_line(refusal)}); check the address, that both have "
            "the same versions of Ray and Python, and the token (RAY_AUTH_MODE=token), see docs/CLUSTER.md"
        )
    with _connected(address):
        yield


def try_to_join(address: str) -> dict[str, Any]:
    """Why the cluster cannot be joined, or None.  For a process of its own."""
    ray = import_ray()
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        return {"refusal": str(error) or type(error).__name__}
    ray.shutdown()
    return {"refusal": None}


def answers(address: str) -> bool:
    """Whether something accepts connections at HOST:PORT or ray://HOST:PORT."""
    place = urlsplit(f"//{address.removeprefix('ray://')}")
    try:
        socket.create_connection((place.hostname or "", place.port or 0), _ANSWER_S).close()
    except (OSError, ValueError):  # ValueError: no port has this number
        return False
    return True


@contextmanager
def _connected(address: str, **settings: Any) -> Iterator[None]:
    ray = import_ray()
    if ray.is_initialized():
        raise ValueError("this process has joined a Ray cluster already; leave that one first")
    # In a thread, so that an interrupted start goes on to its end and what it started can be ended.  The thread stays,
    # since Linux ends Ray's processes with the thread that started them.
    with ThreadPoolExecutor(1) as thread:
        try:
            start = partial(ray.init, address, log_to_driver=False, logging_level=logging.ERROR, **settings)
            thread.submit(start).result()
            _take_sigterm_back()
            yield
        finally:
            thread.submit(ray.shutdown).result()


def _take_sigterm_back() -> None:
    """Ray has set a handler below Python's, which would abort the process; Python's own is set again."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
