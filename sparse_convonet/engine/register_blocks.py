"""Register tiles of a matrix product, written as LLVM vector code for Numba.

Numba does not keep a block of accumulators in registers by itself; with them there, a sparse
convolution is about as fast as a dense matrix product.  A tile is ROWS x (16 * vectors) float32 sums.
Vectors are LLVM's, so the code runs on any processor; the tile is sized for the registers at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

LANES = 16  # float32 values of one vector: one AVX-512 register, two AVX2, four NEON
_HAS_WIDE_REGISTERS = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))
ROWS = 8 if _HAS_WIDE_REGISTERS else 4
MAX_VECTORS = 3 if _HAS_WIDE_REGISTERS else 1

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_INDEX = ir.IntType(64)
_FLOAT_BYTES = 4
_ADDRESS_BYTES = 8


class _Addresses:
    """Loads and stores at integer addresses."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def at(self, base: Any, index: Any, size: int) -> Any:
        return self.builder.add(base, self.builder.mul(index, ir.Constant(_INDEX, size)))

    def load(self, address: Any, kind: Any) -> Any:
        pointer = self.builder.inttoptr(address, kind.as_pointer())
        return self.builder.load(pointer, align=_ADDRESS_BYTES if kind == _INDEX else _FLOAT_BYTES)

    def store(self, value: Any, address: Any) -> None:
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, pointer, align=_FLOAT_BYTES)

    def splat(self, value: Any) -> Any:
        zero = ir.Constant(ir.IntType(32), 0)
        vector = self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, zero)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(vector, ir.Constant(_VECTOR, ir.Undefined), mask)


def _accumulate(
    builder: Any, targets: list[list[Any]], steps: Any, read: Callable[[_Addresses, Any], tuple[list[Any], list[Any]]]
) -> None:
    """targets[r][v] += sum over step < steps of left[r] * right[v], sums held in registers.

    targets: addresses of vectors.  read: for a step, the scalars left and the vectors right.
    """
    memory = _Addresses(builder)
    addresses = [address for row in targets for address in row]
    initial = [memory.load(address, _VECTOR) for address in addresses]
    entry = builder.block
    loop, leave = builder.append_basic_block("tile.loop"), builder.append_basic_block("tile.end")
    zero, one = ir.Constant(_INDEX, 0), ir.Constant(_INDEX, 1)
    builder.cbranch(builder.icmp_signed(">", steps, zero), loop, leave)

    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    sums = [builder.phi(_VECTOR) for _ in addresses]
    left, right = read(memory, step)
    # "fast" lets LLVM fuse the product and the sum where the processor can.
    products = [builder.fmul(scalar, vector, flags=["fast"]) for scalar in map(memory.splat, left) for vector in right]
    updated = [builder.fadd(total, product, flags=["fast"]) for total, product in zip(sums, products, strict=True)]
    following = builder.add(step, one)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, leave)
    for phi, before, after in zip([step, *sums], [zero, *initial], [following, *updated], strict=True):
        phi.add_incoming(before, entry)
        phi.add_incoming(after, loop)

    builder.position_at_end(leave)
    finals = [builder.phi(_VECTOR) for _ in addresses]
    for final, before, after, address in zip(finals, initial, updated, addresses, strict=True):
        final.add_incoming(before, entry)
        final.add_incoming(after, loop)
        memory.store(final, address)


def _vector_addresses(builder: Any, base: Any, vectors: int) -> list[Any]:
    return [builder.add(base, ir.Constant(_INDEX, v * LANES * _FLOAT_BYTES)) for v in range(vectors)]


def row_tile(vectors: int) -> Any:
    """Numba function (sources, targets, column_bytes, weight, weight_row_bytes, width_in).

    For r < ROWS: the 16 * vectors floats at targets[r] + column_bytes += row at sources[r] (width_in
    floats) @ weight.  sources, targets: addresses of int64 arrays of addresses; weight: address of
    its first row's first column.
    """

    @intrinsic
    def tile(typingctx, sources, targets, column_bytes, weight, weight_row_bytes, width_in):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source_list, target_list, column, weight_base, row_bytes, width = arguments
            memory = _Addresses(builder)
            rows = [ir.Constant(_INDEX, r) for r in range(ROWS)]
            source = [memory.load(memory.at(source_list, r, _ADDRESS_BYTES), _INDEX) for r in rows]
            target = [builder.add(memory.load(memory.at(target_list, r, _ADDRESS_BYTES), _INDEX), column) for r in rows]

            def read(memory: _Addresses, step: Any) -> tuple[list[Any], list[Any]]:
                left = [memory.load(memory.at(base, step, _FLOAT_BYTES), _FLOAT) for base in source]
                start = builder.add(weight_base, builder.mul(step, row_bytes))
                return left, [memory.load(a, _VECTOR) for a in _vector_addresses(builder, start, vectors)]

            _accumulate(builder, [_vector_addresses(builder, base, vectors) for base in target], width, read)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return tile


def outer_tile(vectors: int) -> Any:
    """Numba function (sources, targets, source_bytes, target_bytes, weight, weight_row_bytes, pairs).

    Row r < ROWS, 16 * vectors columns at `weight` += sum over p < pairs of the float at
    sources[p] + source_bytes + 4 r times the floats at targets[p] + target_bytes.
    """

    @intrinsic
    def tile(typingctx, sources, targets, source_bytes, target_bytes, weight, weight_row_bytes, pairs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source_list, target_list, source_column, target_column, weight_base, row_bytes, count = arguments
            rows = [ir.Constant(_INDEX, r) for r in range(ROWS)]
            sums = [
                _vector_addresses(builder, builder.add(weight_base, builder.mul(r, row_bytes)), vectors) for r in rows
            ]

            def read(memory: _Addresses, step: Any) -> tuple[list[Any], list[Any]]:
                source = builder.add(memory.load(memory.at(source_list, step, _ADDRESS_BYTES), _INDEX), source_column)
                target = builder.add(memory.load(memory.at(target_list, step, _ADDRESS_BYTES), _INDEX), target_column)
                left = [memory.load(memory.at(source, r, _FLOAT_BYTES), _FLOAT) for r in rows]
                return left, [memory.load(a, _VECTOR) for a in _vector_addresses(builder, target, vectors)]

            _accumulate(builder, sums, count, read)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), generate

    return tile


def weighted_row_sum(vectors: int) -> Any:
    """Numba function (rows, weights, target, count): sums weighted rows into one.

    The 16 * vectors floats at target = sum over p < count of weights[p] times the floats at rows[p].  rows: address
    of an int64 array of addresses; weights: address of a float32 array.
    """

    @intrinsic
    def tile(typingctx, rows, weights, target, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            row_list, weight_base, target_base, steps = arguments
            sums = _vector_addresses(builder, target_base, vectors)
            memory = _Addresses(builder)
            for address in sums:
                memory.store(ir.Constant(_VECTOR, None), address)

            def read(memory: _Addresses, step: Any) -> tuple[list[Any], list[Any]]:
                row = memory.load(memory.at(row_list, step, _ADDRESS_BYTES), _INDEX)
                weight = memory.load(memory.at(weight_base, step, _FLOAT_BYTES), _FLOAT)
                return [weight], [memory.load(a, _VECTOR) for a in _vector_addresses(builder, row, vectors)]

            _accumulate(builder, [sums], steps, read)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), generate

    return tile
