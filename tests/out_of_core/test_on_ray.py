"""A scan reconstructed on a Ray cluster that loses a machine on the way: the mesh of one process, byte for byte."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sparse_convonet import scan
from sparse_convonet.cluster import RayRunner, TaskNeeds
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core import planning
from sparse_convonet.reconstruct import ReconstructionSettings
from sparse_convonet.scan import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.ray_machines import RayMachines, ray_machines
from tests.synthetic_scan import room_points

pytest.importorskip("ray", reason="ray is not installed")

# A job that is shorter may still hand in its result: a worker notices after seconds that its machine is gone.
QUICK_S, SLOW_S = 0.2, 6.0
STILL_TO_DO = 6  # jobs of a stage when a machine is lost, so that each machine is at work on one
RAN_ON, LOST = "ran_on_", "lost"  # files that tell which machines have done jobs, and that one is lost


@dataclass(frozen=True)
class Slowly:
    """A function of a TileJob or StageJob that takes its time and notes where it ran."""

    call: Callable[[Any], Any]

    def __call__(self, job: Any) -> Any:
        import ray

        folder = Path(job.folder)
        (folder / f"{RAN_ON}{ray.get_runtime_context().get_node_id()}").touch()
        slow = len(list(folder.glob(f"{RAN_ON}*"))) == 2 and not (folder / LOST).exists()
        time.sleep(SLOW_S if slow else QUICK_S)
        return self.call(job)


class Losing(RayRunner):
    """Two machines, of which one is lost while both are at work."""

    machines: RayMachines | None

    def run(
        self, call: Callable[[Any], Any], jobs: Sequence[Any], needs: Callable[[Any], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Any]]:
        done = 0
        for answer in super().run(call if self.machines is None else Slowly(call), jobs, needs):
            yield answer
            done += 1
            if self.machines is not None and len(jobs) - done >= STILL_TO_DO:
                if len(list(Path(jobs[0].folder).glob(f"{RAN_ON}*"))) == 2:
                    self.machines.tell("kill 1")
                    (Path(jobs[0].folder) / LOST).touch()
                    self.machines = None


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_makes_the_mesh_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "TILE_EDGES", (32,))
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
    assert runners[0].machines is None and runners[0].lost > 0
    assert found["tiles"]["count"] == expected["tiles"]["count"] > 2 * STILL_TO_DO
    for name in ("mesh.ply", "preview.png"):
        assert (tmp_path / "cluster" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
