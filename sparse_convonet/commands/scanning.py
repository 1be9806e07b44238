"""What `sparse-convonet scan` does, once its options are read."""

from __future__ import annotations

import argparse
import dataclasses
import logging

import numpy as np

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.scanner.stations import find_stations, find_walks
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.data.scanner.wanted_points import scan_of_walks, scan_wanted
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import require_point_suffix, write_points
from sparse_convonet.runtime.atomic import require_writable
from sparse_convonet.structures import PointCloud

_NOISE_PER_METRE_SHARE = 0.05  # noise grows by this share of --noise-cm with each metre of range


def scan_mesh(options: argparse.Namespace) -> None:
    """The file of points at --out, with where the scanner stood if it can say that."""
    require_point_suffix(options.out)
    require_writable(options.out.parent)
    mesh = read_mesh(options.mesh)
    rotation = up_rotation(options.up)
    vertices = mesh.vertices @ rotation.T
    settings = dataclasses.replace(
        ScannerSettings(),
        noise_m=options.noise_cm / 100,
        noise_per_metre=options.noise_cm / 100 * _NOISE_PER_METRE_SHARE,
        max_range_m=options.max_range_m,
    )
    # The places depend on seed and spacing alone, so that `sparse-convonet score` finds the same ones.
    places_rng = np.random.default_rng(options.seed)
    walk = options.mode == "walk"
    places: list[np.ndarray]  # of walks (P, 3), or of stations (3,)
    if walk:
        places = find_walks(vertices, mesh.faces, options.spacing_m, places_rng)
    else:
        places = list(find_stations(vertices, mesh.faces, options.spacing_m, places_rng))
    logging.info("%d %s in %s", len(places), "separate walk(s)" if walk else "stations", options.mesh)
    for field in dataclasses.fields(settings):
        logging.info("  %s: %s", field.name, getattr(settings, field.name))

    scanner = VirtualScanner(vertices, mesh.faces, threads=0)

    def scan(rays: int) -> PointCloud:
        rng = np.random.default_rng([options.seed, rays])
        if walk:
            return scan_of_walks(scanner, places, rays, settings, rng)
        return scanner.scan_stations(np.stack(places), -(-rays // len(places)), settings, rng)

    cloud = scan_wanted(scan, options.points, len(places), np.random.default_rng(options.seed), str(options.mesh))
    assert cloud.scanners is not None
    write_points(options.out, PointCloud(cloud.points @ rotation, scanners=cloud.scanners @ rotation))
    logging.info("%d points written to %s", len(cloud), options.out)
