"""Train a model on synthetic scenes that are generated on the fly, or on a data set.

Several processes share each batch: torchrun --nproc_per_node=2 tools/train.py CONFIG
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from pathlib import Path

    import torch

    from sparse_convonet.config import load_config
    from sparse_convonet.training.loop import train
    from sparse_convonet.training.processes import join_processes
    from sparse_convonet.training.starting import CHECKPOINT
    from sparse_convonet.training.stopping import StopRequest, TrainingStopped


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="YAML file, such as configs/buildings/sparse_building.yaml")
    parser.add_argument("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="folder of the run; default: runs/<name of the config>")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--init",
        help="weights to begin with: a .safetensors file or a shipped model; a run that is resumed goes on with its own",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, help="threads of the CPU; default: as torch chooses")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    config = load_config(options.config, options.overrides)
    if config.baseline is not None:
        raise ValueError(f"{options.config}: {config.baseline.method} learns nothing; score it with tools/evaluate.py")
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


if __name__ == "__main__":
    run_tool(main)
