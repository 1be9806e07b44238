"""What `sparse-convonet compare` does, once its options are read."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from datetime import date

import numpy as np
import torch
from tqdm import tqdm

from sparse_convonet.config.models import DenseVoxelModelConfig
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.evaluation.comparison import ComparisonRow, compare_run, markdown, write_tables
from sparse_convonet.evaluation.comparison_report import (
    DrawnScenes,
    draw_bars,
    draw_growth,
    draw_scenes,
    write_comparison_page,
)
from sparse_convonet.evaluation.contenders import Contender, contenders_of, require_weights
from sparse_convonet.evaluation.growth import GrowthPoint, measure_growth
from sparse_convonet.evaluation.runs import RunSettings, run_contender, write_scene
from sparse_convonet.evaluation.scenes import (
    Known,
    building_scene,
    data_set_scenes,
    in_metres,
    mesh_scene,
    scan_scene,
)
from sparse_convonet.io.meshes import READ_SUFFIXES, read_geometry
from sparse_convonet.runtime.devices import chosen_device
from sparse_convonet.runtime.memory import available_memory_bytes
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh

_MEMORY_SHARE = 0.8  # of what the machine can give, where --memory says nothing


def compare(options: argparse.Namespace, command: str) -> None:
    """Runs, pictures, tables and the page in --out.  command: what the page says it was made with."""
    contenders = contenders_of(options.configs, options.overrides, options.checkpoint, random=options.random_weights)
    for one in contenders:
        require_weights(one)
    memory = int(options.memory * 1e9) if options.memory else int(_MEMORY_SHARE * available_memory_bytes())
    settings = RunSettings(chosen_device(options.device), options.threads, None, False, memory, options.time_limit)
    options.out.mkdir(parents=True, exist_ok=True)

    known = _scenes(options, contenders)
    cells = (options.cells or None) if options.data is not None and options.data.is_dir() else None
    rows, scenes = _compare(options, contenders, known, replace(settings, cells=cells))
    growth = _grow(options, contenders, settings) if options.areas else []
    curves = draw_growth(options.out, growth, memory, options.time_limit) if growth else []
    what = str(options.data) if options.data is not None else f"a generated building of {min(options.areas):g} m²"
    about = (
        f"{len(known)} scene(s): {what}. Every method got the same points, in a process of its own, which held at most "
        f"{memory / 1e9:.1f} GB. Times are means over the scenes, without imports and compiling; memory is that of the "
        f"whole process. {_machine(settings)} Command: {command}"
    )
    growth_text = (
        f"Generated furnished buildings, scanned virtually, voxels of {options.voxel_size * 100:g} cm, each method in a "
        f"process of its own until it fails. A method fails when it takes more than {memory / 1e9:.1f} GB or "
        f"{options.time_limit:g} s."
    )
    write_comparison_page(options.out, "Comparison", about, rows, scenes, growth, growth_text, curves)
    print(markdown(rows), end="")
    print(f"wrote {options.out / 'index.html'}, comparison.md, comparison.csv, pictures and views beside")


def _scenes(options: argparse.Namespace, contenders: list[Contender]) -> list[Known]:
    """What to compare on: a data set, a scan, a mesh to scan, or the smallest of the generated buildings."""
    data, voxel_size_m = options.data, options.voxel_size
    if data is None:
        return [building_scene(min(options.areas), voxel_size_m, options.seed)]
    if data.is_dir():
        # Baselines take the normals that the data set has, as in the papers.
        with_normals = any(one.takes_normals for one in contenders)
        source = replace(contenders[0].config.data, folder=str(data), classes=None)
        return data_set_scenes(source, options.split, options.limit, options.seed, with_normals=with_normals)
    require_file(data)
    geometry = read_geometry(data) if data.suffix.lower() in READ_SUFFIXES else None
    if isinstance(geometry, Mesh):
        upright = in_metres(Mesh(geometry.vertices @ up_rotation(options.up or "z").T, geometry.faces), options.scale)
        return [mesh_scene(data.stem, upright, voxel_size_m, options.points, options.seed)]
    return [scan_scene(data, voxel_size_m, options.up, options.seed, options.scale)]


def _compare(
    options: argparse.Namespace, contenders: list[Contender], known: list[Known], settings: RunSettings
) -> tuple[list[ComparisonRow], DrawnScenes]:
    scenes = [write_scene(options.out / "scenes", scene) for scene, _ in known]
    rows, folders = [], {}
    bar = tqdm(contenders, unit="method")
    for one in bar:
        bar.set_description(one.name)
        window = isinstance(one.config.model, DenseVoxelModelConfig) and known[0][0].voxel_size_m is not None
        name = f"{one.name} (window)" if window else one.name
        if one.takes_normals and known[0][0].normals_world is None:
            name = f"{one.name} (estimated normals)"
        folder = options.out / "runs" / name
        run = run_contender(one, scenes, folder, replace(settings, window=window))
        rows.append(compare_run(one, name, run, scenes, known, folder))
        if one.has_weights:
            folders[name] = folder
    write_tables(options.out, rows)
    draw_bars(options.out / "bars.png", rows)
    # Spread over the scenes, which stand class by class.
    drawn = np.unique(np.linspace(0, len(known) - 1, min(options.pictures, len(known))).round().astype(int)).tolist()
    scores = {row.name: row for row in rows}
    return rows, draw_scenes(options.out, folders, [scenes[n] for n in drawn], [known[n] for n in drawn], scores)


def _grow(options: argparse.Namespace, contenders: list[Contender], settings: RunSettings) -> list[GrowthPoint]:
    """Sparse networks, dense ones on voxels whole and in crops, and methods without learning.

    Networks of the unit cube are left out: their cells would grow with the building.
    """
    methods = []
    for one in contenders:
        model, baseline = one.config.model, one.config.baseline
        if baseline is None and isinstance(model, DenseVoxelModelConfig):
            methods.append((f"{one.name} (whole)", one, settings))
            methods.append((f"{one.name} (window)", one, replace(settings, window=True)))
        elif baseline is not None or model.field == "sparse":
            methods.append((f"{one.name} (estimated normals)" if one.takes_normals else one.name, one, settings))
        else:
            tqdm.write(f"{one.name}: left out of the growth, its cells grow with the building")
    if not methods:
        raise ValueError(
            "--areas: expected a method that works in metres (sparse, dense_voxels, baselines), found none"
        )

    def show(point: GrowthPoint) -> None:
        cost = point.failure or f"{point.seconds:.1f} s, {(point.peak_bytes or 0) / 1e9:.2f} GB"
        tqdm.write(f"{point.floor_m2:.0f} m2, {point.name}: {cost}")

    return measure_growth(methods, options.areas, options.voxel_size, options.out / "growth", options.seed, show)


def _machine(settings: RunSettings) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = torch.cuda.get_device_name() if settings.device.startswith("cuda") else f"{cores} cores, no GPU"
    return (
        f"{device}, {settings.threads or torch.get_num_threads()} threads, torch {torch.__version__}, {date.today()}."
    )
