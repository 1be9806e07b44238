"""python -m tests.benchmarks [--only NAME ...] [--quick]: measure and write docs/BENCHMARKS.md.

Campus, gpu, light_mesh, other_engines, page, sides and reach only with --only.  The others take about a quarter of an
hour on two cores; leave the machine alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    buildings,
    campus,
    data_sets,
    dense,
    engines,
    first_call,
    gpu,
    light_mesh,
    normals,
    other_engines,
    page,
    queries,
    rays,
    reach,
    sides,
    sizes,
)
from tests.benchmarks.tables import markdown_table, write_section
from tests.benchmarks.timing import describe_run

_PREFACE = """# Benchmarks

Written by `make bench` (`python -m tests.benchmarks`, of which `--only NAME` measures one section anew): do not edit.
Times of different sections may be of different days; within a table they are of one run.
"""


@dataclass(frozen=True)
class Benchmark:
    """run: rows of one dataclass, of tiny sizes where its argument (quick) is true.  by_default: without --only."""

    title: str
    text: str
    run: Callable[[bool], Sequence[Any]]
    by_default: bool = True


BENCHMARKS = {
    "engines": Benchmark("Engines", engines.TEXT, engines.run),
    "other_engines": Benchmark("Other engines", other_engines.TEXT, other_engines.run, by_default=False),
    "gpu": Benchmark("Convolutions on a GPU", gpu.TEXT, gpu.run, by_default=False),
    "sizes": Benchmark("Size of the scene", sizes.TEXT, sizes.run),
    "queries": Benchmark("Queries", queries.TEXT, queries.run),
    "buildings": Benchmark("Buildings", buildings.TEXT, buildings.run),
    "light_mesh": Benchmark("Light mesh", light_mesh.TEXT, light_mesh.run, by_default=False),
    "campus": Benchmark("Campus", campus.TEXT, campus.run, by_default=False),
    "dense": Benchmark("Sparse and dense", dense.TEXT, dense.run),
    "normals": Benchmark("Normals", normals.TEXT, normals.run),
    "rays": Benchmark("Rays", rays.TEXT, rays.run),
    "first_call": Benchmark("First call", first_call.TEXT, first_call.run),
    "data_sets": Benchmark("Data sets", data_sets.TEXT, data_sets.run),
    "page": Benchmark("Page", page.TEXT, page.run, by_default=False),
    "sides": Benchmark("Sides of surfaces", sides.TEXT, sides.run, by_default=False),
    "reach": Benchmark("Reach", reach.TEXT, reach.run, by_default=False),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all of it runs")
    parser.add_argument("--out", type=Path, help="default: docs/BENCHMARKS.md; with --quick out/benchmarks_quick.md")
    options = parser.parse_args(arguments)
    out = options.out or Path("out/benchmarks_quick.md" if options.quick else "docs/BENCHMARKS.md")
    for name in options.only or [name for name, benchmark in BENCHMARKS.items() if benchmark.by_default]:
        benchmark = BENCHMARKS[name]
        started = time.monotonic()
        table = markdown_table(benchmark.run(options.quick))
        note = " Tiny sizes: the figures mean nothing." if options.quick else ""
        body = f"{benchmark.text}\n\n{describe_run()}{note}\n\n{table}"
        write_section(out, benchmark.title, body, preface=_PREFACE, order=[each.title for each in BENCHMARKS.values()])
        print(f"{name}: {time.monotonic() - started:.0f} s, written to {out}\n{table}", flush=True)


if __name__ == "__main__":
    main()
