"""Validation IoU of a trained model: unseen rooms by the papers' observation, and crops of scanned buildings.

With --sides also whether it puts surfaces on the room's side of the points, in empty halls with exact walls and in
generated buildings with tall spaces: of rays from inside, the share that first meets the mesh more than 0.4 voxels before
the true surface (wrong side), more than 10 cm behind it (holes), and more than 20 cm before it (phantoms).
"""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    from dataclasses import replace

    import torch

    from sparse_convonet.data.empty_halls import EmptyHall
    from sparse_convonet.data.furniture import FurnitureLibrary
    from sparse_convonet.evaluation.sides import (
        DEFAULT_HALLS,
        DEFAULT_VOXELS_M,
        Reconstruct,
        building_sides,
        building_with_hall,
        hall_sides,
        reconstruction_of,
        sides_head,
        sides_line,
        worst_line,
    )
    from sparse_convonet.training.scenes import furniture_of, validation_sets
    from sparse_convonet.training.validation import ValidationScore, validate
    from sparse_convonet.weights import load_model


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("model", nargs="?", default="building", help="name of a shipped model, or a .safetensors file")
    parser.add_argument("--split", default="val", choices=["train", "val", "test"], help="of the furniture")
    parser.add_argument("--scenes", type=int, default=32, help="rooms; half as many crops of buildings")
    parser.add_argument("--engine", choices=["auto", "minkowski", "native"], help="default: the model's")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sides", action="store_true", help="measure sides of surfaces as well, which takes minutes")
    parser.add_argument(
        "--halls",
        nargs="*",
        default=list(DEFAULT_HALLS),
        metavar="HALL",
        help="of --sides: LENGTHxHEIGHT or LENGTHxWIDTHxHEIGHT in metres; height 0: a floor alone",
    )
    parser.add_argument("--buildings", type=int, default=1, help="of --sides: generated ones, with a hall")
    parser.add_argument(
        "--voxels-cm",
        type=float,
        nargs="+",
        default=[100 * voxel for voxel in DEFAULT_VOXELS_M],
        metavar="CM",
        help="of --sides: voxel sizes",
    )
    options = parser.parse_args(arguments)
    halls = [EmptyHall.from_text(text) for text in options.halls]  # refused before anything takes time
    if min(options.voxels_cm) <= 0:
        raise ValueError(f"--voxels-cm: expected positive numbers, found {min(options.voxels_cm):g}")
    if options.sides and not (halls or options.buildings > 0):
        raise ValueError("--sides: expected a hall or a building, found none; name some with --halls or --buildings")
    if options.scenes < 2:
        raise ValueError(f"--scenes: expected at least 2, found {options.scenes}")
    model = load_model(options.model, engine=options.engine, device=options.device)
    reconstruct = reconstruction_of(model) if options.sides else None
    config = replace(model.config, training=replace(model.config.training, validation_scenes=options.scenes))
    device = torch.device(options.device)
    print(f"model {model.name}, {options.split} split, {config.data.points} points a scene")
    for name, scenes in validation_sets(config, options.split).items():
        print(
            f"{name:14} {describe(validate(model.network, scenes, device), model.threshold)} over {len(scenes)} scenes"
        )
    if reconstruct is not None:
        _print_sides(reconstruct, halls, furniture_of(config).split(options.split), options)


def _print_sides(
    reconstruct: Reconstruct, halls: list[EmptyHall], library: FurnitureLibrary, options: argparse.Namespace
) -> None:
    """A line for each scene and voxel size as it is done, then the worst."""
    voxels_m = [voxel_cm / 100 for voxel_cm in options.voxels_cm]
    rows = []
    print(sides_head())
    for hall in halls:
        for voxel_m in voxels_m:
            rows.append(hall_sides(reconstruct, hall, voxel_m))
            print(sides_line(rows[-1]), flush=True)
    seed = 0
    for _ in range(options.buildings):
        seed, scene = building_with_hall(library, seed)
        for row in building_sides(reconstruct, f"building {seed}", scene, voxels_m):
            rows.append(row)
            print(sides_line(row), flush=True)
        seed += 1
    print(worst_line(rows))


def describe(score: ValidationScore, threshold: float) -> str:
    """'IoU 0.7812 at 0.45 (best 0.7815 at 0.50)'."""
    stored = score.at(round(threshold, 2))
    return f"IoU {stored:.4f} at {threshold:.2f} (best {score.best_iou:.4f} at {score.best_threshold:.2f})"


if __name__ == "__main__":
    run_tool(main)
