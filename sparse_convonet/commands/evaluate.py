"""Score models on a data set by the papers' protocol: IoU, Chamfer-L1, normal consistency, F-scores."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser, seed
from sparse_convonet.evaluation.published import PUBLISHED_CELLS, TABLES
from sparse_convonet.runtime.cli import starting

MESHES = (".ply", ".obj", ".off", ".stl", ".glb")
CLOUDS = (".xyz", ".pcd", ".npz", ".las", ".laz", ".e57")
EXAMPLES = (
    "runs/sparse64/best.safetensors --out scores --papers rooms",
    "configs/rooms/grid64.yaml configs/rooms/sparse64.yaml --set data.folder=/data/rooms --out scores",
    "prediction.ply truth.ply --metres",
)


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    pair = all(path.suffix.lower() in MESHES + CLOUDS for path in options.what)
    if pair and len(options.what) != 2:
        raise ValueError(f"expected two meshes or clouds, the prediction and the truth, found {len(options.what)}")
    if not pair and options.tau is not None and options.choose_threshold:
        raise ValueError("expected --tau or --choose-threshold, found both; leave one out")
    if options.refine < 0:
        raise ValueError(f"--refine: expected 0 or more steps, found {options.refine}; 30 are as published")
    if options.simplify is not None and options.simplify < 4:
        raise ValueError(f"--simplify: expected at least 4 faces, found {options.simplify}; 5000 are as published")
    if not pair and options.out is None:
        raise ValueError("--out: expected a folder for the scores, found none; name one")
    with starting():
        from sparse_convonet.commands.evaluating import score_models, score_pair

    (score_pair if pair else score_models)(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("evaluate", __doc__, EXAMPLES)
    add = parser.add_argument
    add("what", nargs="+", type=Path, metavar="CONFIG", help="configurations or .safetensors files; or two meshes "
        "or point clouds")  # fmt: skip
    add("--checkpoint", nargs="+", type=Path, default=[], help="weights, one file for each configuration that learns; "
        "default: runs/<config>/best.safetensors")  # fmt: skip
    add("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    add("--out", type=Path, help="folder for the scores; a stopped run goes on there")
    add("--split", default="test")
    add("--limit", type=int, help="models per class")
    add("--cells", type=int, default=PUBLISHED_CELLS, help="of the mesh along the padded cube; 0: as the configuration "
        "says (default 128, as published)")  # fmt: skip
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the weights")
    add(
        "--simplify",
        type=int,
        metavar="FACES",
        help="reduce meshes to about so many faces; ONet's were reduced to 5000",
    )
    add("--refine", type=int, default=0, metavar="STEPS", help="steps of the published refinement, after --simplify; 30 "
        "as published")  # fmt: skip
    add("--choose-threshold", type=int, metavar="MODELS", help="choose tau by the IoU on so many models of the val "
        "split; it is kept in settings.json")  # fmt: skip
    add("--only-surface", action="store_true", help="no inside to compare: real scans")
    add("--save-meshes", action="store_true")
    add("--export-official", type=Path, metavar="FOLDER", help="also write the meshes as the published eval_meshes.py "
        "reads them, whose generation_dir is FOLDER/<name of the configuration>")  # fmt: skip
    add("--papers", choices=sorted(TABLES), help="add the rows that were published for this data")
    add("--metres", action="store_true", help="two meshes: their unit is the metre")
    add("--device", default="auto", help="auto (default), cpu, cuda, ...")
    add("--seed", type=seed, default=0)
    return parser
