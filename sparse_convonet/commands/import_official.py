"""Turn a published checkpoint of ConvONet or of Occupancy Networks into a weights file.

The configuration names the architecture, such as configs/rooms/grid64.yaml for room_grid64.pt.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.config.experiment import load_config
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "room_grid64.pt --config configs/rooms/grid64.yaml --out grid64.safetensors",
    "onet_pcl2mesh.pt --config configs/objects/onet.yaml --out onet.safetensors --tau 0.2",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out}: exists already; add --overwrite or name another file")
    config = load_config(options.config, options.overrides)
    with starting():
        from sparse_convonet.model.official import PUBLISHED_THRESHOLD, import_official

    tau = PUBLISHED_THRESHOLD if options.tau is None else options.tau
    model = import_official(options.checkpoint, config, options.out, threshold=tau)
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, threshold {model.threshold}, {dict(model.record)}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("import-official", __doc__, EXAMPLES)
    add = parser.add_argument
    add("checkpoint", type=Path, help="the published file, or one that the published code has written")
    add("--config", type=Path, required=True, help="YAML file with the same architecture")
    add("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    add("--out", type=Path, required=True, help="the .safetensors file to write")
    add("--tau", type=float, help="occupancy probability of the surface; default: 0.2, as published")
    add("--overwrite", action="store_true", help="replace an existing file")
    return parser
