"""Time of a 3x3x3 convolution per engine: python -m tests.engine.benchmark_convolution --voxels 300000 --channels 32

Prints one JSON record per engine: commit, device, sizes, seconds (the best of a few), peak memory.
Compare engines within one run on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from typing import Any

import torch

from sparse_convonet.engine import load_engine


def room_shell(voxels: int) -> torch.Tensor:
    """About that many voxels (V, 4) int32 of floor, ceiling and walls of a box, two voxels thick."""
    side = max(4, round((voxels / 10.3) ** 0.5))
    x, y, z = torch.meshgrid(*[torch.arange(side)] * 3, indexing="ij")
    to_wall = torch.stack([x, y, z, side - 1 - x, side - 1 - y, side - 1 - z]).amin(dim=0)
    shell = torch.nonzero(to_wall < 2).to(torch.int32)
    return torch.cat([torch.zeros(len(shell), 1, dtype=torch.int32), shell], dim=1)


def _best_seconds(run: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(name: str, voxels: torch.Tensor, channels: int, repeats: int) -> dict[str, Any]:
    """Seconds of building the maps, of a forward and of a backward pass with cached maps."""
    engine = load_engine(name)
    torch.manual_seed(0)
    features = torch.randn(len(voxels), channels, requires_grad=True)
    layer = engine.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=3)
    layer(engine.SparseTensor(features, coordinates=voxels)).F.sum().backward()  # compiles
    first = _best_seconds(lambda: layer(engine.SparseTensor(features, coordinates=voxels)), repeats)
    x = engine.SparseTensor(features, coordinates=voxels)
    y = layer(x)
    forward = _best_seconds(lambda: layer(x), repeats)
    backward = _best_seconds(lambda: y.F.backward(torch.ones_like(y.F), retain_graph=True), repeats)
    return {"engine": name, "maps_and_forward_s": first, "forward_s": forward, "backward_s": backward}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxels", type=int, default=300_000)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["native", "minkowski"])
    arguments = parser.parse_args()
    voxels = room_shell(arguments.voxels)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for name in arguments.engines:
        record = measure(name, voxels, arguments.channels, arguments.repeats)
        record |= {"commit": commit, "processor": platform.processor() or platform.machine()}
        record |= {"threads": torch.get_num_threads(), "voxels": len(voxels), "channels": arguments.channels}
        record["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps(record))


if __name__ == "__main__":
    main()
