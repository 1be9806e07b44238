"""Make the most of a GPU for some minutes: test, take the faster kernels, train, export, report (docs/GPU.md)."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from pathlib import Path

    from sparse_convonet.commands.parsing import SentenceParser
    from sparse_convonet.config.pretrained import DEFAULT_MODEL
    from sparse_convonet.gpu_run.requirements import require_packages

_CONFIG = Path("configs/buildings/sparse_building.yaml")


def main(arguments: list[str] | None = None) -> int:
    parser = SentenceParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training; the other parts take a few more")
    parser.add_argument("--config", type=Path, default=_CONFIG)
    parser.add_argument("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="a run that is there is resumed")
    parser.add_argument("--init", default=DEFAULT_MODEL, help="weights to begin with; none: random ones")
    parser.add_argument("--dry-run", action="store_true", help="walk all parts with two steps, on the CPU")
    options = parser.parse_args(arguments)
    require_packages()

    with starting():  # only now: these need the packages
        import torch

        from sparse_convonet.gpu_run.report import write_report
        from sparse_convonet.gpu_run.run import run_parts
        from sparse_convonet.gpu_run.settings import GpuRunSettings

    if not (options.dry_run or torch.cuda.is_available()):
        print("no CUDA device here, so nothing was done; --dry-run walks all parts on the CPU")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    init = None if options.init in ("", "none") else options.init
    settings = GpuRunSettings(
        options.config, options.out, options.minutes, init, tuple(options.overrides), options.dry_run
    )
    report = run_parts(settings)
    _, page = write_report(report, options.out)
    print(page.read_text(encoding="utf-8"))
    print(f"report: {page}" + (f"; failed: {', '.join(report.failed)}" if report.failed else ""))
    return 1 if report.failed else 0


if __name__ == "__main__":
    run_tool(main)
