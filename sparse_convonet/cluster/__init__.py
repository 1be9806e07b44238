"""Jobs on the machines of a Ray cluster, or one after the other in this process, behind one interface."""

from __future__ import annotations

from sparse_convonet.cluster.ray_runner import RayRunner
from sparse_convonet.cluster.task_runner import LocalRunner, TaskNeeds, TaskRunner

__all__ = ["LocalRunner", "RayRunner", "TaskNeeds", "TaskRunner", "runner_for"]


def runner_for(cluster: str | None, *, workers: int | None = None, needs: TaskNeeds = TaskNeeds()) -> TaskRunner:
    """A LocalRunner where `cluster` is None, else RayRunner(cluster, ...), which says what may be raised."""
    return LocalRunner() if cluster is None else RayRunner(cluster, workers=workers, needs=needs)
