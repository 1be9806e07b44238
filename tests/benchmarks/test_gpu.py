"""That the benchmark of a GPU runs and writes its table; what it measures is not looked at."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks import gpu
from tests.benchmarks.tables import markdown_table


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_quick_convolutions_on_a_gpu_write_their_table() -> None:
    rows = gpu.run(quick=True)
    assert len(rows) == 18 and all(row.torch_ms > 0 and row.triton_ms > 0 for row in rows)
    assert len(markdown_table(rows).splitlines()) == 20


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_gpu_the_benchmark_says_so() -> None:
    with pytest.raises(SystemExit, match="expected a CUDA device, found none"):
        gpu.run(quick=True)
