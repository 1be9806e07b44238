"""Make a furniture pack from Sweet Home 3D libraries (.sh3f) and folders of meshes."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sparse_convonet.commands.parsing import command_parser
from sparse_convonet.runtime.cli import starting

SWEET_HOME_FOLDER = Path("/usr/share/sweethome3d/furniture")
EXAMPLES = (
    "--output furniture.npz --attribution ATTRIBUTION.md",
    "models/chairs models/tables --output furniture.npz --up y --scale 0.01 --author 'A. Maker' --licence CC0",
)


def main(arguments: list[str] | None = None) -> None:
    """Solidify every model, write the pack and, if asked, the list of authors; report what was dropped and why."""
    options = _parser().parse_args(arguments)
    with starting():
        from sparse_convonet.data.furniture.build_pack import attribution, build_pack
        from sparse_convonet.data.furniture.pack import write_pack
        from sparse_convonet.runtime.atomic import atomic_path

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("trimesh").setLevel(logging.WARNING)
    pack = build_pack(
        options.sources,
        metres_per_unit=options.scale,
        up_axis=options.up,
        author=options.author,
        licence=options.licence,
    )
    with atomic_path(options.output) as temporary:
        write_pack(temporary, pack.models)
    if options.attribution is not None:
        with atomic_path(options.attribution) as temporary:
            temporary.write_text(attribution(pack), encoding="utf-8")
    print("\n".join(pack.report()))
    print(f"{options.output}: {len(pack.models)} models, {options.output.stat().st_size / 1e6:.2f} MB")


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("data furniture", __doc__, EXAMPLES)
    parser.add_argument(
        "sources",
        nargs="*",
        type=Path,
        default=sorted(SWEET_HOME_FOLDER.glob("*.sh3f")),
        help=".sh3f libraries and folders of obj, off, stl, ply or glb meshes (default: the libraries of the Debian "
        "package sweethome3d-furniture)",
    )
    parser.add_argument("--output", "-o", type=Path, required=True, help="the pack to write (.npz)")
    parser.add_argument("--attribution", type=Path, help="write the models' authors and licences to this file (.md)")
    parser.add_argument("--scale", type=float, default=1.0, help="metres per unit in mesh folders (default 1)")
    parser.add_argument("--up", choices=("y", "z"), default="z", help="upward axis in mesh folders (default z)")
    parser.add_argument("--author", default="unknown", help="author of the mesh folders' models")
    parser.add_argument("--licence", default="unknown", help="licence of the mesh folders' models")
    return parser
