"""What `sparse-convonet sample` does, once its options are read."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparse_convonet.data.convonet.layout import ModelFolder
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.reconstruct.generated import (
    code_of_model,
    codes_between,
    generative,
    meshes_of_codes,
    random_codes,
)
from sparse_convonet.report.shape_sheet import SheetShape, write_shape_sheet
from sparse_convonet.runtime.atomic import atomic_folder
from sparse_convonet.runtime.devices import chosen_device

SHEET_FILE = "contact_sheet.png"


def sample_shapes(options: argparse.Namespace) -> None:
    """The folder --out, whole or not at all, and a line about it."""
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out}: exists already; add --overwrite or name another folder")
    model = load_model(options.model, device=chosen_device(options.device))
    generative(model)
    codes, titles = _codes(options, model)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(options.out) as folder:
        shapes = []
        made = meshes_of_codes(model, codes, options.cells, options.tau or model.threshold)
        for number, (mesh, title) in enumerate(zip(tqdm(made, total=len(codes), unit="shape"), titles, strict=True)):
            if len(mesh.faces):
                write_mesh(folder / f"shape_{number:03d}.ply", mesh)
            shapes.append(SheetShape(mesh, title))
        what = "shapes" if options.between is None else "shapes from the first to the last"
        write_shape_sheet(folder / SHEET_FILE, f"{model.name}: {len(shapes)} {what}", shapes)
    found = sum(shape.mesh is not None and len(shape.mesh.faces) > 0 for shape in shapes)
    print(f"{options.out}: {found} meshes of {len(shapes)} codes, {SHEET_FILE}")
    if found < len(shapes):
        print(f"{len(shapes) - found} codes have no surface; try a lower --tau, or train for longer")


def _codes(options: argparse.Namespace, model: TrainedModel) -> tuple[np.ndarray, list[str]]:
    """One code and one title for each shape."""
    if options.between is None:
        return random_codes(model, options.count, options.seed), [f"{number:03d}" for number in range(options.count)]
    ends = [code_of_model(model, _model(path), options.seed) for path in options.between]
    first, last = ends or random_codes(model, 2, options.seed)
    shares = np.linspace(0, 1, options.count)
    return codes_between(first, last, options.count), [f"{100 * share:.0f} %" for share in shares]


def _model(path: Path) -> ModelFolder:
    path = path.resolve()
    return ModelFolder(path.parent.name, path.name, path)
