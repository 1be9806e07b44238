"""python -m tests.benchmarks.equal_time CONFIG ... --data FOLDER --out FOLDER: networks after equal training time.

Each configuration is trained by one thread until its process has used --cpu-minutes, whatever else the machine does; the
averaged weights at the end are scored with the threshold that is best on the validation split.  All are trained alike:
SETTINGS, and --set.  A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from sparse_convonet.runtime.atomic import atomic_path

SETTINGS = (
    "training.batch=8", "training.learning_rate=1e-3", "training.schedule=constant", "training.warmup_steps=20",
    "training.clip_norm=10", "training.ema=0.99", "training.workers=0", "training.steps=1000000",
    "training.validate_every=1000000", "training.picture_every=1000000", "training.mesh_every=0",
)  # fmt: skip
_LOOK_S = 0.2
_FOUND = "equal_time.json"


def train_for(config: Path, out: Path, cpu_s: float, settings: Sequence[str]) -> dict[str, float]:
    """Train until the process has used so many seconds of CPU; {"steps", "cpu_s"}, kept in the folder of the run."""
    done = out / _FOUND
    if done.is_file():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    command = [sys.executable, "-m", "sparse_convonet", "train", str(config), "--threads", "1", "--device", "cpu"]
    log, used_s = out.with_suffix(".log"), 0.0
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as said,
        subprocess.Popen([*command, "--out", str(out), "--set", *settings], stderr=said) as process,
    ):
        watched = psutil.Process(process.pid)
        while process.poll() is None and used_s < cpu_s:
            time.sleep(_LOOK_S)
            try:
                spent = watched.cpu_times()
            except psutil.NoSuchProcess:
                break
            used_s = spent.user + spent.system
        process.send_signal(signal.SIGTERM)
    text = log.read_text(errors="replace")
    steps = re.search(r"stopped by SIGTERM after step (\d+)", text)
    if steps is None:
        raise ValueError(f"{config}: expected a training that goes on, found it ended: {text[-2000:]}")
    found = {"steps": int(steps[1]), "cpu_s": round(used_s, 1)}
    with atomic_path(done) as temporary:
        temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", type=Path, nargs="+", metavar="CONFIG")
    parser.add_argument("--data", type=Path, required=True, help="a data set in the papers' format")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cpu-minutes", type=float, default=10.0)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="for all configurations")
    parser.add_argument("--papers", default="shapenet", help="published rows beside them, see evaluate")
    parser.add_argument("--limit", type=int, help="models per class that are scored")
    options = parser.parse_args(arguments)
    settings = [*SETTINGS, f"data.folder={options.data}", *options.set]
    weights, trained = [], {}
    for config in options.configs:
        run = options.out / config.stem
        trained[config.stem] = train_for(config, run, 60 * options.cpu_minutes, settings)
        weights.append(str(run / "last.safetensors"))
        print(f"{config.stem}: {trained[config.stem]}", flush=True)
    limit = [] if options.limit is None else ["--limit", str(options.limit)]
    subprocess.run(
        [
            sys.executable, "-m", "sparse_convonet", "evaluate", *map(str, options.configs), "--checkpoint", *weights,
            "--set", f"data.folder={options.data}", *options.set, "--out", str(options.out / "scores"),
            "--papers", options.papers, "--choose-threshold", "15", "--device", "cpu", *limit,
        ],
        check=True,
    )  # fmt: skip
    print("\n".join(f"{name}: {found['steps']} steps in {found['cpu_s']} s" for name, found in trained.items()))


if __name__ == "__main__":
    main()
