"""Turn the weights of a training run into a small file to ship: matrices in half precision."""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    from pathlib import Path

    from sparse_convonet.weights import export_half


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="best.safetensors or last.safetensors of a run")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(arguments)
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out}: exists already; add --overwrite or name another file")
    model = export_half(options.weights, options.out)
    print(
        f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, threshold {model.threshold}, {dict(model.record)}"
    )


if __name__ == "__main__":
    run_tool(main)
