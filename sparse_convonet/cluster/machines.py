"""What must hold on every machine of a Ray cluster before it gets jobs: the same program, and the shared folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.refusals import one_line

PACKAGE_ROOT = Path(__file__).absolute().parents[2]  # where the folder of the package lies

_SURVEY_S = 120.0  # for every machine to start a process, which imports this package, perhaps from slow storage
_SEEN_S = 10.0  # until a new file is seen through the caches of shared storage


def require_same_program(ray: Any, settings: dict[str, Any], expected: str) -> None:
    """Raise ValueError where a machine cannot import this package, or its program_digest() is not the expected one."""
    for machine, found in _ask_every_machine(ray, settings, program_digest):
        if found != expected:
            raise ValueError(
                f"{machine}: has another version of sparse_convonet than this machine; install the same on all, or start "
                "from a folder that all of them share"
            )


def require_shared_folder(ray: Any, settings: dict[str, Any], folder: Path) -> None:
    """Raise ValueError where a machine does not see `folder`, or cannot write to it."""
    # Named as an unfinished file, so that one that a killed process leaves is cleared away with those.
    token, content = folder.absolute() / f".shared.{secrets.token_hex(4)}.partial", secrets.token_hex(16)
    token.write_text(content, encoding="utf-8")
    try:
        refusals = _ask_every_machine(ray, settings, what_is_wrong_with, str(token), content, _SEEN_S)
    finally:
        token.unlink(missing_ok=True)
    for machine, refusal in refusals:
        if refusal:
            raise ValueError(
                f"{folder}: machine {machine} of the Ray cluster {refusal}; --out and --work must lie on storage that all "
                "machines share, at the same path"
            )


def program_digest() -> str:
    """Of the sources of this package, as they were imported from."""
    digest = hashlib.sha256()
    package = PACKAGE_ROOT / "sparse_convonet"
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def what_is_wrong_with(token: str, content: str, seconds: float) -> str | None:
    """Why the folder of a file is not the one in which it was written, or None."""
    path = Path(token)
    ends_at = time.monotonic() + seconds
    while not path.is_file():
        if time.monotonic() > ends_at:
            return "does not see what is written there"
        time.sleep(0.2)
    if path.read_text(encoding="utf-8") != content:
        return "sees another file there"
    return None if os.access(path.parent, os.W_OK | os.X_OK) else "may not write to it"


def _ask_every_machine(
    ray: Any, settings: dict[str, Any], question: Callable[..., Any], *arguments: Any
) -> list[tuple[str, Any]]:
    """The addresses of the machines that take jobs, and what question(*arguments) returns there."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    known = ray.exceptions
    environment = {"runtime_env": settings["runtime_env"], "num_cpus": 0, "max_retries": 2}
    asked = {}
    for node in ray.nodes():
        if node["Alive"] and node["Resources"].get("CPU", 0) > 0:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(question).options(scheduling_strategy=there, **environment)
            asked[task.remote(*arguments)] = node["NodeManagerAddress"]
    answers = []
    for reference, machine in asked.items():
        try:
            answers.append((machine, ray.get(reference, timeout=_SURVEY_S)))
        except known.GetTimeoutError as error:
            raise ConnectionError(f"{machine}: started no process for Ray within {_SURVEY_S:g} s") from error
        except (known.RayTaskError, known.RuntimeEnvSetupError) as error:
            reason = one_line(str(getattr(error, "cause", error)))
            raise ValueError(
                f"{machine}: cannot run sparse_convonet ({reason}); install it there as here, or "
                "start from a folder that all machines share"
            ) from error
        except (known.NodeDiedError, known.WorkerCrashedError, known.TaskUnschedulableError):
            continue  # gone meanwhile
    return answers
