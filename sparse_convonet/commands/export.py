"""Turn the weights of a training run into a small file to ship: matrices in half precision."""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "runs/building/best.safetensors --out building.safetensors",
    "runs/building/last.safetensors --out building.safetensors --overwrite",
    "runs/further/best.safetensors --mean-with building_wide --out soup.safetensors",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out}: exists already; add --overwrite or name another file")
    with starting():
        from sparse_convonet.model.weights import export_half

    model = export_half(options.weights, options.out, options.tau, options.mean_with)
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, threshold {model.threshold}, {dict(model.record)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("export", __doc__, EXAMPLES)
    parser.add_argument("weights", type=Path, help="best.safetensors or last.safetensors of a run")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument(
        "--tau", type=float, help="occupancy probability of the surface; default: the one that validation found best"
    )
    parser.add_argument(
        "--mean-with",
        metavar="WEIGHTS",
        help="write the mean with these: a file or a shipped model that this training began with (a model soup)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser
