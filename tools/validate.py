"""Validation IoU of a trained model: unseen rooms by the papers' observation, and crops of scanned buildings."""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    from dataclasses import replace

    import torch

    from sparse_convonet.training.scenes import validation_sets
    from sparse_convonet.training.validation import ValidationScore, validate
    from sparse_convonet.weights import load_model


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("model", nargs="?", default="building", help="name of a shipped model, or a .safetensors file")
    parser.add_argument("--split", default="val", choices=["train", "val", "test"], help="of the furniture")
    parser.add_argument("--scenes", type=int, default=32, help="rooms; half as many crops of buildings")
    parser.add_argument("--engine", choices=["auto", "minkowski", "native"], help="default: the model's")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    if options.scenes < 2:
        raise ValueError(f"--scenes: expected at least 2, found {options.scenes}")
    model = load_model(options.model, engine=options.engine, device=options.device)
    config = replace(model.config, training=replace(model.config.training, validation_scenes=options.scenes))
    device = torch.device(options.device)
    print(f"model {model.name}, {options.split} split, {config.data.points} points a scene")
    for name, scenes in validation_sets(config, options.split).items():
        print(
            f"{name:14} {describe(validate(model.network, scenes, device), model.threshold)} over {len(scenes)} scenes"
        )


def describe(score: ValidationScore, threshold: float) -> str:
    """'IoU 0.7812 at 0.45 (best 0.7815 at 0.50)'."""
    stored = score.at(round(threshold, 2))
    return f"IoU {stored:.4f} at {threshold:.2f} (best {score.best_iou:.4f} at {score.best_threshold:.2f})"


if __name__ == "__main__":
    run_tool(main)
