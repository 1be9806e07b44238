"""Train a model on synthetic scenes that are generated on the fly."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from sparse_convonet.config import load_config
from sparse_convonet.io.cli import run_tool
from sparse_convonet.training.loop import train


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="YAML file, such as configs/buildings/sparse_building.yaml")
    parser.add_argument("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="folder of the run; default: runs/<name of the config>")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, help="threads of the CPU; default: as torch chooses")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if options.threads:
        torch.set_num_threads(options.threads)
    config = load_config(options.config, options.overrides)
    if config.baseline is not None:
        raise ValueError(f"{options.config}: {config.baseline.method} learns nothing; score it with tools/evaluate.py")
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    out = options.out or Path("runs") / options.config.stem
    score = train(config, out, torch.device(device), options.resume)
    logging.info("validation IoU %.4f at threshold %.2f; weights in %s", score.best_iou, score.best_threshold, out)


if __name__ == "__main__":
    run_tool(main)
