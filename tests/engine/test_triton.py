"""The Triton kernels without a GPU: in Triton's interpreter against float64, and compiled for absent devices."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from sparse_convonet.engine import convolution
from sparse_convonet.runtime.isolated import call_isolated

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

SHAPES = [(150, 170, 27, 24, 40), (200, 130, 27, 33, 96), (10, 9000, 8, 7, 3), (64, 64, 1, 16, 16), (5, 0, 8, 4, 4)]


def largest_errors(shape: list[int], dtype: str) -> dict[str, float]:
    """Of both kernels, as shares of the largest magnitude: rows in, rows out, offsets, channels in and out."""
    from sparse_convonet.engine import kernels_triton

    rows_in, rows_out, volume, width_in, width_out = shape
    torch.manual_seed(0)
    table = torch.randint(-rows_in, rows_in, (rows_out, volume), dtype=torch.int32).clamp_(min=-1)
    table[: rows_out // 2, volume // 2 :] = -1  # whole blocks without a neighbour
    features, weight, grad_out = (
        torch.randn(size).to(getattr(torch, dtype))
        for size in ((rows_in, width_in), (volume, width_in, width_out), (rows_out, width_out))
    )
    found = {
        "sum": kernels_triton.gather_sum(features, weight, table),
        "gradient": kernels_triton.weight_gradient(features, grad_out, table),
    }
    expected = {
        "sum": convolution._gather_sum(features.double(), weight.double(), table),
        "gradient": convolution._weight_gradient(features.double(), grad_out.double(), table),
    }
    assert all(each.dtype == features.dtype and each.shape == expected[name].shape for name, each in found.items())
    return {
        name: float((found[name].double() - each).abs().max() / each.abs().max().clamp(min=1)) if each.numel() else 0.0
        for name, each in expected.items()
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_sums_and_gradients_equal_matrix_products(shape: tuple[int, ...]) -> None:
    # Triton's interpreter multiplies no bfloat16.  float16 results are rounded to 11 bits.
    for dtype, tolerance in (("float32", 1e-6), ("float16", 2**-11)):
        errors = call_isolated(largest_errors, {"shape": list(shape), "dtype": dtype}, {"TRITON_INTERPRET": "1"}).result
        assert max(errors.values()) <= tolerance, (dtype, errors)


def shared_memory(capability: int) -> dict[str, int]:
    """Bytes of it that each kernel takes, compiled for a device of that compute capability, which need not be there."""
    from triton import compile as compile_kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from sparse_convonet.engine import kernels_triton

    constants = {"VOLUME": 27, "ROWS": kernels_triton._ROWS, "CHANNELS": 64, "COLUMNS": 64}
    found = {}
    for kernel in (kernels_triton._gather_sum, kernels_triton._weight_gradient):
        for dtype, precision in (("fp32", "ieee"), ("fp32", "tf32"), ("fp16", "tf32"), ("bf16", "tf32")):
            types = dict.fromkeys(("features", "weight", "grad_out", "out"), f"*{dtype}")
            types |= {"partial": "*fp32", "table": "*i32", "PRECISION": "constexpr"} | dict.fromkeys(
                constants, "constexpr"
            )
            signature = {argument: types.get(argument, "i32") for argument in kernel.arg_names}
            source = ASTSource(fn=kernel, signature=signature, constexprs={**constants, "PRECISION": precision})
            compiled = compile_kernel(source, target=GPUTarget("cuda", capability, 32))
            assert len(compiled.asm["cubin"]) > 1000
            found[f"{kernel.fn.__name__} {dtype} {precision}"] = compiled.metadata.shared
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("capability", "offered_kib"), [(80, 163), (86, 99), (89, 99), (90, 227)])
def test_both_compile_for_devices_and_fit_their_shared_memory(
    tmp_path: Path, capability: int, offered_kib: int
) -> None:
    """What a block may use: table of compute capabilities, CUDA C++ programming guide."""
    environment = {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_DEFAULT_FP_FUSION": "1"}
    taken = call_isolated(shared_memory, {"capability": capability}, environment).result
    assert len(taken) == 8 and 0 < max(taken.values()) <= offered_kib * 1024, taken
