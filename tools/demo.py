"""The whole way on a synthetic two-storey building: generate, scan virtually, reconstruct, picture."""

from __future__ import annotations

from sparse_convonet.runtime.cli import run_tool, starting

with starting():
    import argparse
    from pathlib import Path

    import numpy as np

    from sparse_convonet.commands.parsing import SentenceParser
    from sparse_convonet.config.pretrained import DEFAULT_MODEL
    from sparse_convonet.data.buildings.building import BuildingSettings, make_building
    from sparse_convonet.data.furniture.library import FurnitureLibrary
    from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
    from sparse_convonet.data.scenes.walks import choose_stations
    from sparse_convonet.io.points import write_points
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.scan.messages import show_messages
    from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
    from sparse_convonet.structures import PointCloud

_TWO_STOREYS = BuildingSettings(storeys=(2, 2), footprint_m=(11.0, 15.0), hall_share=1.0, pitched_roof_share=0.0)
_STATION_SPACING_M = 2.5
_RAYS = 2_400_000


def main(arguments: list[str] | None = None) -> None:
    parser = SentenceParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for scan.ply and the result")
    parser.add_argument("--seed", type=int, default=10, help="another seed, another building")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name of a shipped model, or a .safetensors file")
    options = parser.parse_args(arguments)
    show_messages()

    # Furniture of the test split: the model has never seen any of it.
    building = make_building(options.seed, FurnitureLibrary.load().split("test"), _TWO_STOREYS)
    rng = np.random.default_rng(options.seed)
    stations = choose_stations(building, rng, _STATION_SPACING_M)
    scanner = VirtualScanner(*building.mesh())
    scan = scanner.scan_stations(stations, _RAYS // len(stations), ScannerSettings(), rng)
    options.out.mkdir(parents=True, exist_ok=True)
    write_points(options.out / "scan.ply", PointCloud(scan.points))
    print(f"scanned   a two-storey building from {len(stations)} stations: {len(scan)} points")
    scan_path, settings = options.out / "scan.ply", ReconstructionSettings()
    reconstruct_scan(
        ScanRequest(
            [scan_path], options.out, settings, up="z", model=options.model, overwrite=True, page=True, pictures=True
        )
    )
    print(f"\nLook at {options.out / 'preview.png'}, or open {options.out / 'page.html'} in a browser")


if __name__ == "__main__":
    run_tool(main)
