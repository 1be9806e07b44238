"""python -m tests.benchmarks.strewn DATA [--share 0.1] [--scans BUILDING/SCAN ...] [--voxel-size 0.08]: strewn points.

The scans of a benchmark of buildings (`sparse-convonet data buildings`), each with a share of points more along its own
rays: how many of these, and of its own, are left out as outliers, and in how much time; with --share 0 only single points
of very dense scans may go.
With --voxel-size also the scores of the meshes of the scan alone, with all that was strewn, and without what is left out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.outliers import without_outliers
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.evaluation.buildings.scoring import scores_of
from sparse_convonet.io.points import read_points
from sparse_convonet.model.weights import load_model
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.structures import PointCloud

_SHOWN = ("F 1 cm", "F 2.5 cm", "wrong side %", "holes %", "phantoms %")
_ALONG = (0.05, 0.95)  # of the way from the scanner


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.strewn", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--scans", nargs="+", metavar="BUILDING/SCAN")
    parser.add_argument("--voxel-size", type=float)
    options = parser.parse_args(arguments)
    paths = [options.data / f"{name}.npz" for name in options.scans or ()] or sorted(options.data.glob("*/*_*mm.npz"))
    reconstructor = None
    if options.voxel_size:
        reconstructor = Reconstructor(
            load_model(DEFAULT_MODEL), ReconstructionSettings(voxel_size_m=options.voxel_size)
        )
    for path in paths:
        scan = read_points(path).points
        strewn = _along_rays(path, options.share)
        cloud = PointCloud(np.concatenate([scan, strewn]))
        started = time.perf_counter()
        kept, taken = without_outliers(cloud)
        seconds = time.perf_counter() - started
        of_strewn = float(np.isin(taken.points[:, 0], strewn[:, 0]).sum())
        print(
            f"{path.parent.name}/{path.stem}: gone {of_strewn / max(1, len(strewn)):.1%} of the strewn, "
            f"{(len(taken) - of_strewn) / len(scan):.2%} of the scan; {1e6 * seconds / len(cloud):.2f} us a point",
            flush=True,
        )
        given_points = {"scan": scan, "all": cloud.points, "left": kept.points}
        if len(strewn) == 0:
            del given_points["all"]
        for name, given in given_points.items() if reconstructor else ():
            assert reconstructor is not None
            scores = scores_of(path.parent, reconstructor.run(PointCloud(given)).mesh)
            print(f"  {name}: " + ", ".join(f"{each} {scores[each]:.3f}" for each in _SHOWN), flush=True)


def _along_rays(path: Path, share: float) -> np.ndarray:
    """(n, 3) points anywhere along the rays of a scan, which knows its scanners."""
    cloud, rng = read_points(path), np.random.default_rng(0)
    assert cloud.scanners is not None
    rows = rng.integers(len(cloud), size=int(share * len(cloud)))
    return cloud.scanners[rows] + (cloud.points[rows] - cloud.scanners[rows]) * rng.uniform(*_ALONG, (len(rows), 1))


if __name__ == "__main__":
    main()
