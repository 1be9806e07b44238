"""The decoder, and its compiled loop with the lookup inside."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.decode.decoder import OccupancyDecoder, encode_position
from sparse_convonet.fields.sparse import Level, SparseField

WIDTH = 32


def random_field(levels: int, channels: int = WIDTH) -> SparseField:
    """Two scenes of cells at strides 1, 2, 4, ..., about half of each box present."""
    generator = torch.Generator().manual_seed(levels)
    built = []
    for level in range(levels):
        stride = 2**level
        box = torch.cartesian_prod(torch.arange(2), *[torch.arange(-6, 6) * stride] * 3)
        keys, _ = torch.sort(pack_keys(box[torch.rand(len(box), generator=generator) < 0.5]))
        built.append(Level(stride, keys, torch.randn(len(keys), channels, generator=generator)))
    return SparseField(tuple(built))


def random_decoder(levels: int, blocks: int = 5, encoding: str = "periodic", width: int = WIDTH) -> OccupancyDecoder:
    torch.manual_seed(blocks)
    decoder = OccupancyDecoder(feature_width=width, levels=levels, width=width, blocks=blocks, local_encoding=encoding)
    with torch.no_grad():  # blocks begin as identities; make every weight count
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.2)
    return decoder.eval()


def random_queries(count: int, shift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    queries = torch.rand(count, 3, generator=generator, dtype=torch.float64) * 30 - 15 + shift
    queries[::5] = torch.round(queries[::5] * 2) / 2  # on the lattice of a mesh, where cells meet
    return queries, torch.randint(0, 2, (count,), generator=generator)


@torch.no_grad()
@pytest.mark.parametrize(("levels", "blocks", "count"), [(1, 1, 1), (3, 5, 63), (3, 2, 64), (5, 5, 40_001)])
def test_compiled_loop_equals_lookup_and_layers(levels: int, blocks: int, count: int) -> None:
    field, decoder = random_field(levels), random_decoder(levels, blocks)
    queries, batch = random_queries(count)
    assert decoder.fits_compiled_loop(field)
    logits, known = decoder.decode_field(field, queries, batch)
    sample = field.sample(queries, batch)
    assert torch.equal(known, sample.known)
    expected = decoder(queries, sample.features, sample.weights)
    torch.testing.assert_close(logits[known], expected[known], atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_compiled_loop_knows_nothing_beyond_the_keys_and_in_an_empty_field() -> None:
    decoder = random_decoder(2)
    queries = torch.tensor([[1e9, 0.0, 0.0], [0.0, -3e5, 0.0], [math.inf, 0.0, 0.0], [0.0, 0.0, math.nan]])
    empty = SparseField(tuple(Level(s, torch.zeros(0, dtype=torch.int64), torch.zeros(0, WIDTH)) for s in (1, 2)))
    zero = torch.zeros(len(queries), dtype=torch.int64)
    assert not decoder.decode_field(random_field(2), queries, zero)[1].any()
    assert not decoder.decode_field(empty, torch.zeros(4, 3), zero)[1].any()
    assert len(decoder.decode_field(empty, torch.zeros(0, 3), zero[:0])[0]) == 0


def test_other_shapes_and_training_use_the_layers() -> None:
    with torch.no_grad():
        assert not random_decoder(2, encoding="raw").fits_compiled_loop(random_field(2))
        assert not random_decoder(2, width=16).fits_compiled_loop(random_field(2, 16))
        assert random_decoder(2).fits_compiled_loop(random_field(2))
    assert not random_decoder(2).fits_compiled_loop(random_field(2))


@torch.no_grad()
def test_a_decoder_without_a_compiled_loop_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        random_decoder(2).fits_compiled_loop(random_field(2))
        assert "decoder" not in caplog.text
        for _ in range(2):
            assert not random_decoder(2, width=24).fits_compiled_loop(random_field(2, 24))
    assert caplog.text.count("its layers run in torch") == 1 and "not 24, 24, 5 and periodic" in caplog.text


def test_periodic_code_is_continuous_across_cells_and_raw_offsets_are_not() -> None:
    sides = torch.tensor([[2.9999999, 0.2, 0.4], [3.0000001, 0.2, 0.4]], dtype=torch.float64)
    periodic, raw = encode_position(sides, "periodic"), encode_position(sides, "raw")
    torch.testing.assert_close(periodic[0], periodic[1], atol=1e-5, rtol=0)
    assert (raw[0] - raw[1]).abs().max() > 0.99
