"""What `sparse-convonet validate` does, once its options are read."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.evaluation.sides import (
    Reconstruct,
    building_sides,
    building_with_hall,
    hall_sides,
    reconstruction_of,
    sides_head,
    sides_line,
    worst_line,
)
from sparse_convonet.model.weights import load_model
from sparse_convonet.runtime.devices import chosen_device
from sparse_convonet.training.scenes import furniture_of, validation_sets
from sparse_convonet.training.validation import ValidationScore, validate


def validate_model(options: argparse.Namespace) -> None:
    """A line for each set of scenes, then those of --sides."""
    halls = [EmptyHall.from_text(text) for text in options.halls]  # refused before anything takes time
    device = torch.device(chosen_device(options.device))
    model = load_model(options.model, engine=options.engine, device=device)
    reconstruct = reconstruction_of(model) if options.sides else None
    config = replace(model.config, training=replace(model.config.training, validation_scenes=options.scenes))
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
