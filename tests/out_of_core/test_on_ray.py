"""A scan reconstructed on a Ray cluster that loses a machine on the way: the mesh of one process, byte for byte."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparse_convonet.cluster import RayRunner, TaskNeeds
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan import run as scan
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.ray_machines import RayMachines, ray_machines
from tests.synthetic_scan import room_points

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.alone

# A job that is shorter may still hand in its result: a worker notices after seconds that its machine is gone.
SLOW_S, WAIT_S = 15.0, 90.0
RAN_ON, LOST = "ran_on_", "lost"  # files that tell which machines have begun jobs, and that one is lost


def wait_for_both(folder: Path) -> None:
    """Until both machines have begun a job."""
    ends_at = time.monotonic() + WAIT_S
    while len(list(folder.glob(f"{RAN_ON}*"))) < 2 and time.monotonic() < ends_at:
        time.sleep(0.1)


@dataclass(frozen=True)
class Slowly:
    """A function of a TileJob or StageJob that takes its time until a machine is lost."""

    call: Callable[[Any], Any]

    def __call__(self, job: Any) -> Any:
        import ray

        folder = Path(job.folder)
        (folder / f"{RAN_ON}{ray.get_runtime_context().get_node_id()}").touch()
        wait_for_both(folder)
        if not (folder / LOST).exists():
            time.sleep(SLOW_S)
        return self.call(job)


class Losing(RayRunner):
    """Two machines, of which one is lost while both are at work on the first jobs."""

    machines: RayMachines | None

    def run(
        self, call: Callable[[Any], Any], jobs: Sequence[Any], needs: Callable[[Any], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Any]]:
        if self.machines is None or len(jobs) == 1:  # the one job of the context comes first
            yield from super().run(call, jobs, needs)
            return
        losing = threading.Thread(target=self._lose, args=(Path(jobs[0].folder), self.machines))
        losing.start()
        self.machines = None
        yield from super().run(Slowly(call), jobs, needs)
        losing.join(240)
        assert not losing.is_alive()

    def _lose(self, folder: Path, machines: RayMachines) -> None:
        wait_for_both(folder)
        time.sleep(1.0)
        machines.tell("kill 1")
        (folder / LOST).touch()


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_makes_the_mesh_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (32,))
    path = tmp_path / "scan.npz"
    write_points(path, PointCloud(room_points(8000)))
    settings = ReconstructionSettings(voxel_size_m=0.12)
    request = ScanRequest([path], tmp_path / "alone", settings, up="z", engine="native", work=tmp_path / "work_alone")
    expected = reconstruct_scan(request)
    with ray_machines() as machines:
        runners: list[Losing] = []

        def losing(cluster: str | None) -> Losing:
            assert cluster == machines.address
            runners.append(Losing(cluster))
            runners[0].machines = machines
            return runners[0]

        monkeypatch.setattr(scan, "runner_for", losing)
        elsewhere = replace(request, out=tmp_path / "cluster", work=tmp_path / "work", cluster=machines.address)
        found = reconstruct_scan(elsewhere)
    assert runners[0].lost > 0
    assert found["tiles"]["count"] == expected["tiles"]["count"] > 8
    for name in ("mesh.ply", "preview.png"):
        assert (tmp_path / "cluster" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
