"""Draw the curves of one training or of several, against steps or hours, and print the numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "runs/building --out building.png",
    "runs/sparse64 runs/grid64 --hours --out rooms.png",
    "runs/building --what sides --out sides.png",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    with starting():
        from sparse_convonet.commands.drawing_curves import draw_curves

    draw_curves(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("curves", __doc__, EXAMPLES)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of sparse-convonet train")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the picture")
    parser.add_argument(
        "--what", choices=["iou", "sides", "loss"], default="iou",
        help="iou: of the validation; sides: shares of empty halls with the wrong side or a hole; loss: means of a "
        "hundredth of the run each; default iou",
    )  # fmt: skip
    parser.add_argument(
        "--hours",
        action="store_true",
        help="against the hours of the steps, which leave validations out; default: steps",
    )
    return parser
