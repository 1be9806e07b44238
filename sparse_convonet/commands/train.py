"""Train a model on synthetic scenes that are generated on the fly, or on a data set.

A run that was stopped goes on with --resume.  Several processes share each batch:
torchrun --nproc_per_node=2 -m sparse_convonet train CONFIG
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.config.experiment import load_config
from sparse_convonet.runtime.cli import starting

EXAMPLES = (
    "configs/buildings/sparse_building.yaml --out runs/building",
    "configs/buildings/sparse_building.yaml --out runs/building --resume",
    "configs/rooms/sparse64.yaml --set data.folder=/data/synthetic_room_dataset training.steps=1000",
)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    config = load_config(options.config, options.overrides)
    if config.baseline is not None:
        raise ValueError(
            f"{options.config}: {config.baseline.method} learns nothing; score it with sparse-convonet evaluate"
        )
    with starting():
        import torch

        from sparse_convonet.training.loop import train
        from sparse_convonet.training.processes import join_processes
        from sparse_convonet.training.starting import CHECKPOINT
        from sparse_convonet.training.stopping import StopRequest, TrainingStopped

    if options.threads:
        torch.set_num_threads(options.threads)
    out = options.out or Path("runs") / options.config.stem
    with join_processes(options.device) as processes, StopRequest() as stop:
        level = logging.INFO if processes.first else logging.WARNING
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
        try:
            score = train(config, out, processes.device, options.resume, stop, processes, options.init)
        except TrainingStopped as stopped:
            logging.info("%s; %s is written, --resume goes on from there", stopped, out / CHECKPOINT)
            return stopped.exit_code
        logging.info("validation IoU %.4f at threshold %.2f; weights in %s", score.best_iou, score.best_threshold, out)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("train", __doc__, EXAMPLES)
    add = parser.add_argument
    add("config", type=Path, help="YAML file, such as configs/buildings/sparse_building.yaml")
    add("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    add("--out", type=Path, help="folder of the run; default: runs/<name of the config>")
    add("--resume", action="store_true", help="continue the run in --out")
    add(
        "--init",
        help="weights to begin with: a .safetensors file or a shipped model; a run that is resumed goes on with its own",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    add("--threads", type=int, help="threads of the CPU; default: as torch chooses")
    return parser
