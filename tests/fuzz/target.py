"""What is fuzzed: a reader, valid samples of what it reads, and how they are damaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import mutate_bytes

Mutation = Callable[[Sequence[bytes], Sequence[bytes], np.random.Generator], bytes]


@dataclass(frozen=True)
class Target:
    """file: where an input is put, relative to an empty folder.  read: called with the folder and with the file.

    make: valid contents of the file.  others: files that lie beside it.  mutate: draws an input from the samples and
    the words of the format.  count: inputs of a full run.  quick: those of the test.  free: may read where it likes.
    """

    name: str
    file: str
    make: Callable[[], Sequence[bytes]]
    read: Callable[[Path, Path], object]
    words: tuple[bytes, ...] = ()
    mutate: Mutation = mutate_bytes
    others: Callable[[], dict[str, bytes]] = dict
    count: int = 200_000
    quick: int = 150
    free: bool = False

    @cached_property
    def samples(self) -> tuple[bytes, ...]:
        return tuple(self.make())

    def prepare(self, folder: Path) -> None:
        """Put what lies beside the input into an empty folder."""
        for name, content in {self.file: b"", **self.others()}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def input(self, seed: int, index: int) -> bytes:
        """Input number `index`: always the same for a seed."""
        return self.mutate(self.samples, self.words, np.random.default_rng([seed, index]))
